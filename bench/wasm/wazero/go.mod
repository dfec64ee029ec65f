module seam/wazero-direct

go 1.25

require github.com/tetratelabs/wazero v1.12.0
