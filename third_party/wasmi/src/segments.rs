//! Modules that write into a table of another instance and then fail.
//!
//! An active segment that does not fit ends an instantiation with a trap, but what was written before it stays, and a table of
//! another instance may then hold functions of the one that came to nothing. Such a function has no instance in wasmi, which
//! reads whatever stands there when it is called. So it is known here beforehand which segment will not fit; the module is
//! then made with that one and all behind it passive, its instance becomes whole, and the trap is told all the same:
//!
//!     (elem (i32.const 0) $f) (elem (i32.const 9) $g)      with a table of 3
//!     (elem (i32.const 0) $f) (elem $g)                    is instantiated, and TableOutOfBounds told
//!
//! Element segments come before data segments, in their order.

use wasmi::{AsContext, Extern, TrapCode, Val};
use wasmparser::{ConstExpr, Data, DataKind, Element, ElementItems, ElementKind, Operator, Parser, Payload, TypeRef};

use crate::start::{read_section, write_u32};

const ELEMENT: u8 = 9;
const DATA: u8 = 11;
const HEADER_BYTES: usize = 8;
const PAGE_BYTES: u64 = 1 << 16;

/// What stands where the segments go.
#[derive(Default)]
struct Place {
    tables: Vec<u64>,          // elements of each
    memories: Vec<u64>,        // bytes of each
    globals: Vec<Option<u64>>, // integers, as far as they are
}

/// The first segment that does not fit.
struct Misfit {
    elements_before: usize,
    data_before: usize,
    trap: TrapCode,
}

/// A module that does what the original does until it traps.
pub struct Cut {
    pub bytes: Vec<u8>,
    pub trap: TrapCode,
}

type Parsed<T> = Result<T, wasmparser::BinaryReaderError>;

impl Place {
    fn import(&mut self, ty: TypeRef, given: Option<Extern>, store: &impl AsContext) {
        match (ty, given) {
            (TypeRef::Table(_), Some(Extern::Table(table))) => self.tables.push(table.size(store)),
            (TypeRef::Table(ty), _) => self.tables.push(ty.initial),
            (TypeRef::Memory(_), Some(Extern::Memory(memory))) => self.memories.push(memory.data_size(store) as u64),
            (TypeRef::Memory(ty), _) => self.memories.push(ty.initial.saturating_mul(PAGE_BYTES)),
            (TypeRef::Global(_), Some(Extern::Global(global))) => self.globals.push(match global.get(store) {
                Val::I32(number) => Some(u64::from(number as u32)),
                Val::I64(number) => Some(number as u64),
                _ => None,
            }),
            (TypeRef::Global(_), _) => self.globals.push(None),
            _ => {}
        }
    }

    /// A constant integer; numbers of 32 bits have zeros above.
    fn value(&self, expression: &ConstExpr<'_>) -> Parsed<Option<u64>> {
        let mut stack = Vec::new();
        for operator in expression.get_operators_reader() {
            let narrow = |number: u64| u64::from(number as u32);
            let operator = operator?;
            let apply: fn(u64, u64) -> u64 = match operator {
                Operator::I32Const { value } => {
                    stack.push(u64::from(value as u32));
                    continue;
                }
                Operator::I64Const { value } => {
                    stack.push(value as u64);
                    continue;
                }
                Operator::GlobalGet { global_index } => {
                    let Some(Some(value)) = self.globals.get(global_index as usize) else { return Ok(None) };
                    stack.push(*value);
                    continue;
                }
                Operator::End => continue,
                Operator::I32Add | Operator::I64Add => u64::wrapping_add,
                Operator::I32Sub | Operator::I64Sub => u64::wrapping_sub,
                Operator::I32Mul | Operator::I64Mul => u64::wrapping_mul,
                _ => return Ok(None),
            };
            let (Some(right), Some(left)) = (stack.pop(), stack.pop()) else { return Ok(None) };
            let result = apply(left, right);
            let is_narrow = matches!(operator, Operator::I32Add | Operator::I32Sub | Operator::I32Mul);
            stack.push(if is_narrow { narrow(result) } else { result });
        }
        Ok(stack.pop())
    }

    fn fits(&self, sizes: &[u64], index: u32, offset: &ConstExpr<'_>, count: u64) -> Parsed<Option<bool>> {
        let size = sizes.get(index as usize).copied();
        let offset = self.value(offset)?;
        Ok(size.zip(offset).map(|(size, offset)| offset.checked_add(count).is_some_and(|end| end <= size)))
    }
}

fn count_of(items: &ElementItems<'_>) -> u64 {
    u64::from(match items {
        ElementItems::Functions(items) => items.count(),
        ElementItems::Expressions(_, items) => items.count(),
    })
}

/// `None` if all fit. What cannot be told beforehand is an error: it must not be tried.
fn find_misfit(
    wasm: &[u8],
    store: &impl AsContext,
    mut given: impl FnMut(&str, &str) -> Option<Extern>,
) -> Parsed<Result<Option<Misfit>, ()>> {
    let mut place = Place::default();
    let mut elements_before = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports {
                    let import = import?;
                    place.import(import.ty, given(import.module, import.name), store);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    place.tables.push(table?.ty.initial);
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    place.memories.push(memory?.initial.saturating_mul(PAGE_BYTES));
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    let value = place.value(&global?.init_expr)?;
                    place.globals.push(value);
                }
            }
            Payload::ElementSection(elements) => {
                for element in elements {
                    let element = element?;
                    if let ElementKind::Active { table_index, offset_expr } = &element.kind {
                        let index = table_index.unwrap_or(0);
                        match place.fits(&place.tables, index, offset_expr, count_of(&element.items))? {
                            None => return Ok(Err(())),
                            Some(true) => {}
                            Some(false) => {
                                let trap = TrapCode::TableOutOfBounds;
                                return Ok(Ok(Some(Misfit { elements_before, data_before: 0, trap })));
                            }
                        }
                    }
                    elements_before += 1;
                }
            }
            Payload::DataSection(data) => {
                for (data_before, data) in data.into_iter().enumerate() {
                    let data = data?;
                    let DataKind::Active { memory_index, offset_expr } = &data.kind else { continue };
                    match place.fits(&place.memories, *memory_index, offset_expr, data.data.len() as u64)? {
                        None => return Ok(Err(())),
                        Some(true) => {}
                        Some(false) => {
                            let trap = TrapCode::MemoryOutOfBounds;
                            return Ok(Ok(Some(Misfit { elements_before, data_before, trap })));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Ok(Ok(None))
}

fn passive_element(wasm: &[u8], element: &Element<'_>) -> Vec<u8> {
    if !matches!(element.kind, ElementKind::Active { .. }) {
        return wasm[element.range.clone()].to_vec();
    }
    let (mut bytes, items) = match &element.items {
        ElementItems::Functions(items) => (vec![1, 0], items.range()),
        ElementItems::Expressions(ty, items) => (vec![5, if ty.is_extern_ref() { 0x6f } else { 0x70 }], items.range()),
    };
    bytes.extend_from_slice(&wasm[items]);
    bytes
}

fn passive_data(wasm: &[u8], data: &Data<'_>) -> Vec<u8> {
    if !matches!(data.kind, DataKind::Active { .. }) {
        return wasm[data.range.clone()].to_vec();
    }
    let mut bytes = vec![1];
    write_u32(&mut bytes, data.data.len() as u32);
    bytes.extend_from_slice(data.data);
    bytes
}

/// The sections' contents with the segments from the misfit on passive.
fn cut_contents(wasm: &[u8], misfit: &Misfit) -> Parsed<(Vec<u8>, Vec<u8>)> {
    let (mut element_bytes, mut data_bytes) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ElementSection(elements) => {
                write_u32(&mut element_bytes, elements.count());
                for (i, element) in elements.into_iter().enumerate() {
                    let element = element?;
                    if i < misfit.elements_before {
                        element_bytes.extend_from_slice(&wasm[element.range.clone()]);
                    } else {
                        element_bytes.extend(passive_element(wasm, &element));
                    }
                }
            }
            Payload::DataSection(data) => {
                write_u32(&mut data_bytes, data.count());
                for (i, data) in data.into_iter().enumerate() {
                    let data = data?;
                    if i < misfit.data_before {
                        data_bytes.extend_from_slice(&wasm[data.range.clone()]);
                    } else {
                        data_bytes.extend(passive_data(wasm, &data));
                    }
                }
            }
            _ => {}
        }
    }
    Ok((element_bytes, data_bytes))
}

/// `wasm` is a valid module. `None` if it does not trap; an error if that cannot be told.
pub fn cut_at_misfit(
    wasm: &[u8],
    store: &impl AsContext,
    given: impl FnMut(&str, &str) -> Option<Extern>,
) -> Result<Option<Cut>, ()> {
    let Some(misfit) = find_misfit(wasm, store, given).map_err(|_| ())?? else { return Ok(None) };
    let (elements, data) = cut_contents(wasm, &misfit).map_err(|_| ())?;
    let mut bytes = wasm[..HEADER_BYTES].to_vec();
    let mut rest = &wasm[HEADER_BYTES..];
    while !rest.is_empty() {
        let section = read_section(&mut rest).ok_or(())?;
        let content = match section.id {
            ELEMENT => &elements,
            DATA => &data,
            _ => {
                bytes.extend_from_slice(section.whole);
                continue;
            }
        };
        bytes.push(section.id);
        write_u32(&mut bytes, u32::try_from(content.len()).map_err(|_| ())?);
        bytes.extend_from_slice(content);
    }
    Ok(Some(Cut { bytes, trap: misfit.trap }))
}
