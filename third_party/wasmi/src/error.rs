//! What goes wrong, as the C interface tells it.

use std::any::Any;
use std::ffi::c_char;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use wasmi::errors::{ErrorKind, HostError, InstantiationError, MemoryError, TableError};
use wasmi::{Error, TrapCode};

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub enum Status {
    Done,
    Stopped,
    Failed,
    NoFuel,
    Waiting,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub enum Kind {
    Trap,
    Limit,
    Link,
    Module,
    Other,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub enum Trap {
    Other,
    Unreachable,
    MemoryOutOfBounds,
    TableOutOfBounds,
    IndirectCallToNull,
    DivisionByZero,
    IntegerOverflow,
    BadConversion,
    StackOverflow,
    BadSignature,
    OutOfMemory,
}

#[repr(C)]
pub struct ErrorOut {
    kind: Kind,
    trap: Trap,
    text: *mut c_char,
    size: usize,
}

impl ErrorOut {
    fn new(kind: Kind, trap: Trap, text: String) -> Self {
        let text = text.into_bytes().into_boxed_slice();
        let size = text.len();
        Self { kind, trap, text: Box::into_raw(text).cast(), size }
    }

    /// # Safety
    /// `self` was made by `new()` and is freed once.
    pub unsafe fn free(&mut self) {
        if !self.text.is_null() {
            drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(self.text.cast::<u8>(), self.size)) });
            self.text = ptr::null_mut();
        }
    }
}

/// What a host function ends a guest with; why is the host's to know.
#[derive(Debug)]
pub struct Stop {
    pub waits: bool,
}

impl fmt::Display for Stop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ended by the host")
    }
}

impl HostError for Stop {}

/// What ends a function of the C interface before its end.
pub enum Failure {
    Wasmi(Error),
    Stopped,
    Text(Kind, String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.downcast_ref::<Stop>() {
            Some(_) => Self::Stopped,
            None => Self::Wasmi(error),
        }
    }
}

fn trap_of(code: TrapCode) -> Trap {
    match code {
        TrapCode::UnreachableCodeReached => Trap::Unreachable,
        TrapCode::MemoryOutOfBounds => Trap::MemoryOutOfBounds,
        TrapCode::TableOutOfBounds => Trap::TableOutOfBounds,
        TrapCode::IndirectCallToNull => Trap::IndirectCallToNull,
        TrapCode::IntegerDivisionByZero => Trap::DivisionByZero,
        TrapCode::IntegerOverflow => Trap::IntegerOverflow,
        TrapCode::BadConversionToInteger => Trap::BadConversion,
        TrapCode::StackOverflow => Trap::StackOverflow,
        TrapCode::BadSignature => Trap::BadSignature,
        TrapCode::OutOfSystemMemory => Trap::OutOfMemory,
        TrapCode::OutOfFuel | TrapCode::GrowthOperationLimited => Trap::Other,
    }
}

fn describe(error: &Error) -> (Kind, Trap) {
    if let Some(code) = error.as_trap_code() {
        return (Kind::Trap, trap_of(code));
    }
    match error.kind() {
        ErrorKind::Memory(MemoryError::OutOfBoundsAccess) => (Kind::Trap, Trap::MemoryOutOfBounds),
        ErrorKind::Instantiation(InstantiationError::ElementSegmentDoesNotFit { .. }) => {
            (Kind::Trap, Trap::TableOutOfBounds)
        }
        ErrorKind::Table(TableError::InitOutOfBounds) => (Kind::Trap, Trap::TableOutOfBounds),
        ErrorKind::Memory(_)
        | ErrorKind::Table(_)
        | ErrorKind::Instantiation(
            InstantiationError::TooManyInstances
            | InstantiationError::TooManyTables
            | InstantiationError::TooManyMemories
            | InstantiationError::FailedToInstantiateMemory(_)
            | InstantiationError::FailedToInstantiateTable(_),
        ) => (Kind::Limit, Trap::Other),
        ErrorKind::Instantiation(_) | ErrorKind::Linker(_) => (Kind::Link, Trap::Other),
        // A function is translated when it is first called, and may be found to be too much for wasmi only then.
        ErrorKind::Read(_)
        | ErrorKind::Wasm(_)
        | ErrorKind::Translation(_)
        | ErrorKind::UserLimits(_)
        | ErrorKind::ImplementationLimits(_)
        | ErrorKind::Ir(_) => (Kind::Module, Trap::Other),
        _ => (Kind::Other, Trap::Other),
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    format!("wasmi failed: {words}")
}

/// Runs `body`; no panic leaves it.
///
/// # Safety
/// `error` points to where an error goes.
pub unsafe fn guard(error: *mut ErrorOut, body: impl FnOnce() -> Result<Status, Failure>) -> Status {
    let out = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(status)) => return status,
        Ok(Err(Failure::Stopped)) => return Status::Stopped,
        Ok(Err(Failure::Wasmi(taken))) => {
            let (kind, trap) = describe(&taken);
            ErrorOut::new(kind, trap, taken.to_string())
        }
        Ok(Err(Failure::Text(kind, text))) => ErrorOut::new(kind, Trap::Other, text),
        Err(panic) => ErrorOut::new(Kind::Other, Trap::Other, words_of(&*panic)),
    };
    unsafe { error.write(out) };
    Status::Failed
}

/// The same for what cannot fail but by a panic; then it gives `other`.
pub fn guard_or<T>(other: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(other)
}
