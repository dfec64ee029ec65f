//! Values as the C interface passes them, and as wasmi does.

use wasmi::{AsContext, AsContextMut, ExternRef, F32, F64, Nullable, V128, Val, ValType};

/// 16 bytes, little endian. A reference is all zero if it is null; else `high` is 1 and `low` is what the host made an
/// externref with.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Value {
    pub low: u64,
    pub high: u64,
}

/// The numbers of value types in the C interface.
pub fn code_of(ty: ValType) -> u8 {
    match ty {
        ValType::I32 => 0,
        ValType::I64 => 1,
        ValType::F32 => 2,
        ValType::F64 => 3,
        ValType::V128 => 4,
        ValType::FuncRef => 5,
        ValType::ExternRef => 6,
    }
}

pub fn type_of(code: u8) -> ValType {
    match code {
        0 => ValType::I32,
        1 => ValType::I64,
        2 => ValType::F32,
        3 => ValType::F64,
        4 => ValType::V128,
        5 => ValType::FuncRef,
        _ => ValType::ExternRef,
    }
}

/// A reference to a function cannot come from the host: it is null.
pub fn to_val(store: impl AsContextMut, ty: ValType, value: Value) -> Val {
    match ty {
        ValType::I32 => Val::I32(value.low as i32),
        ValType::I64 => Val::I64(value.low as i64),
        ValType::F32 => Val::F32(F32::from_bits(value.low as u32)),
        ValType::F64 => Val::F64(F64::from_bits(value.low)),
        ValType::V128 => Val::V128(V128::from(u128::from(value.low) | (u128::from(value.high) << 64))),
        ValType::FuncRef => Val::FuncRef(Nullable::Null),
        ValType::ExternRef if value.high as u8 == 0 => Val::ExternRef(Nullable::Null),
        ValType::ExternRef => Val::ExternRef(Nullable::Val(ExternRef::new(store, value.low))),
    }
}

pub fn from_val(store: impl AsContext, val: &Val) -> Value {
    let number = |low| Value { low, high: 0 };
    match val {
        Val::I32(number_) => number(u64::from(*number_ as u32)),
        Val::I64(number_) => number(*number_ as u64),
        Val::F32(float) => number(u64::from(float.to_bits())),
        Val::F64(float) => number(float.to_bits()),
        Val::V128(vector) => {
            let bits = vector.as_u128();
            Value { low: bits as u64, high: (bits >> 64) as u64 }
        }
        Val::FuncRef(Nullable::Null) | Val::ExternRef(Nullable::Null) => Value::default(),
        Val::FuncRef(Nullable::Val(_)) => Value { low: 0, high: 1 },
        Val::ExternRef(Nullable::Val(reference)) => {
            let low = reference.data(store.as_context()).downcast_ref::<u64>().copied().unwrap_or(0);
            Value { low, high: 1 }
        }
    }
}
