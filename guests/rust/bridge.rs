//! The exports of a function's module: the reactor that docs/functions/wasm.md describes. The host drops the instance after
//! one call, so what is given away here is never freed.

#[no_mangle]
pub extern "C" fn alloc(size: usize) -> *mut u8 {
    let mut bytes = Vec::<u8>::new();
    if bytes.try_reserve_exact(size.max(1)).is_err() {
        return std::ptr::null_mut();
    }
    let at = bytes.as_mut_ptr();
    std::mem::forget(bytes);
    at
}

#[no_mangle]
pub extern "C" fn handle(params: *const u8, size: usize) -> u64 {
    // The host wrote `size` bytes to what alloc(size) returned.
    let params = unsafe { std::slice::from_raw_parts(params, size) };
    let handler: seam::Handler = function::handler;
    let answer = std::mem::ManuallyDrop::new(seam::call(handler, params));
    (answer.as_ptr() as usize as u64) << 32 | answer.len() as u64
}
