//! Modules with a start function.
//!
//! wasmi calls a start function itself when it instantiates, in one piece: such a call could not be interrupted, nor wait.
//! So the module is changed before wasmi sees it: the start section goes, and its function becomes one more export, which
//! the host then calls as any other. What this cannot read, or finds out of order, it leaves as it is for wasmi to refuse.

const HEADER_BYTES: usize = 8;
const EXPORT: u8 = 7;
const START: u8 = 8;
const NAME: &str = "start";

/// A module in which the start function is the export `name`.
pub struct Exported {
    pub bytes: Vec<u8>,
    pub name: String,
}

pub struct Section<'a> {
    pub id: u8,
    pub whole: &'a [u8],
    content: &'a [u8],
}

fn read_u32(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u64;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(number).ok();
        }
    }
    None
}

pub fn write_u32(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

pub fn read_section<'a>(bytes: &mut &'a [u8]) -> Option<Section<'a>> {
    let begin = *bytes;
    let (id, rest) = bytes.split_first()?;
    let mut rest = rest;
    let size = read_u32(&mut rest)? as usize;
    if size > rest.len() {
        return None;
    }
    let (content, rest) = rest.split_at(size);
    *bytes = rest;
    Some(Section { id: *id, whole: &begin[..begin.len() - rest.len()], content })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Whether these are `count` exports and nothing behind them.
fn are_exports(mut entries: &[u8], count: u32) -> bool {
    let mut skip_one = || {
        let name_bytes = read_u32(&mut entries)? as usize;
        entries = entries.get(name_bytes.checked_add(1)?..)?; // the name and the kind
        read_u32(&mut entries)
    };
    (0..count).all(|_| skip_one().is_some()) && entries.is_empty()
}

/// A module without a start function is `None`.
pub fn export_start(wasm: &[u8]) -> Option<Exported> {
    let mut rest = wasm.get(HEADER_BYTES..)?;
    let mut sections = Vec::new();
    while !rest.is_empty() {
        sections.push(read_section(&mut rest)?);
    }
    let mut starts = sections.iter().enumerate().filter(|(_, section)| section.id == START);
    let (at, start) = starts.next()?;
    let after = |section: &Section| matches!(section.id, 9..=12);
    if starts.next().is_some() || sections[..at].iter().any(after) {
        return None;
    }
    if !sections[at + 1..].iter().all(|section| section.id == 0 || after(section)) {
        return None;
    }
    let mut content = start.content;
    let function = read_u32(&mut content)?;
    if !content.is_empty() {
        return None;
    }

    let exports = sections.iter().find(|section| section.id == EXPORT);
    let mut entries = exports.map_or(&[0_u8][..], |section| section.content);
    let count = read_u32(&mut entries)?;
    if !are_exports(entries, count) {
        return None;
    }
    let mut name = NAME.to_owned();
    while contains(entries, name.as_bytes()) {
        name.push('_');
    }
    let mut extended = Vec::new();
    write_u32(&mut extended, count.checked_add(1)?);
    extended.extend_from_slice(entries);
    write_u32(&mut extended, name.len() as u32);
    extended.extend_from_slice(name.as_bytes());
    extended.push(0); // a function
    write_u32(&mut extended, function);

    let mut bytes = wasm[..HEADER_BYTES].to_vec();
    for section in &sections {
        // Exports stand right before the start, so that either place will do.
        let replaced = match exports {
            Some(_) => section.id == EXPORT,
            None => section.id == START,
        };
        if replaced {
            bytes.push(EXPORT);
            write_u32(&mut bytes, u32::try_from(extended.len()).ok()?);
            bytes.extend_from_slice(&extended);
        } else if section.id != START {
            bytes.extend_from_slice(section.whole);
        }
    }
    Some(Exported { bytes, name })
}
