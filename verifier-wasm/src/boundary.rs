//! What JavaScript calls: three functions over two buffers that Rust owns. JavaScript asks for room, writes its input there,
//! and reads the answer before it calls again.
//!
//! Nothing here dereferences a pointer: addresses only leave. What is unsafe is to export a name.
#![expect(unsafe_code, reason = "a symbol that is exported could be defined twice")]

use std::sync::Mutex;

use crate::check::run;

static INPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static OUTPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Room for an input of so many bytes, all zero. The address is good until the next call.
// SAFETY: no other crate of the module exports this name.
#[unsafe(no_mangle)]
pub extern "C" fn lorica_input(bytes: usize) -> *mut u8 {
    let Ok(mut input) = INPUT.lock() else { return core::ptr::null_mut() };
    *input = vec![0; bytes];
    input.as_mut_ptr()
}

/// Checks the input ([`crate::check::run`]), and gives the number of bytes of the answer.
// SAFETY: no other crate of the module exports this name.
#[unsafe(no_mangle)]
pub extern "C" fn lorica_check() -> usize {
    let (Ok(mut input), Ok(mut output)) = (INPUT.lock(), OUTPUT.lock()) else { return 0 };
    *output = run(&core::mem::take(&mut *input)).into_bytes();
    output.len()
}

/// Where the answer is: JSON in UTF-8. The address is good until the next call.
// SAFETY: no other crate of the module exports this name.
#[unsafe(no_mangle)]
pub extern "C" fn lorica_output() -> *const u8 {
    OUTPUT.lock().map_or(core::ptr::null(), |output| output.as_ptr())
}
