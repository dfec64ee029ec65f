#!/bin/sh
# pack_crates.sh CRATES OUT: the sources of the crates that functions may use, and their licences, in one archive that is the
# same wherever it is made.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for crate in itoa ryu serde serde_json; do
  for folder in "$1/$crate"-[0-9]*; do
    mkdir "$work/$crate"
    cp -r "$folder/src" "$work/$crate/"
    find "$folder" -maxdepth 1 -name 'LICENSE*' -exec cp {} "$work/$crate/" \;
  done
done
chmod -R u=rwX,go=rX "$work"
tar -C "$work" --format=ustar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$2" itoa ryu serde serde_json
