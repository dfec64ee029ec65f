//! What every function in Rust is linked with: a call's way from its bytes to `handler` and back.
//!
//! `bridge.rs` exports it to the host. The answer to `Ok(value)` is the value. The answer to `Err(text)` is one that no value
//! can be, since no object has a name twice: `{"seam_error":"<text>","seam_error":true}`. A panic says on standard error what
//! and where, as the last line, in the form that src/runtimes/rust/guest_answer.h reads, and exits with 101.

use serde_json::{Deserializer, Map, Value};
use std::fmt::Write as _;
use std::io::Write as _;

pub type Handler = fn(Map<String, Value>) -> Result<Value, String>;

/// Of a panic's message, so that it fits into the end of standard error that the host looks at.
const MESSAGE_BYTES_MAX: usize = 700;

pub fn call(handler: Handler, params: &[u8]) -> Vec<u8> {
    std::panic::set_hook(Box::new(|info| {
        let _ = std::io::stdout().flush();
        let payload = info.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a value that is no text");
        let mut end = message.len().min(MESSAGE_BYTES_MAX);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        let mut line = String::from("panicked at ");
        if let Some(place) = info.location() {
            let _ = write!(line, "{}:{}:{}", place.file(), place.line(), place.column());
        }
        let _ = write!(line, ":\n{}\n", &message[..end]);
        let _ = std::io::stderr().write_all(line.as_bytes());
        std::process::exit(101);
    }));
    let mut context = match std::env::var("SEAM_CONTEXT") {
        Ok(text) => match parse(text.as_bytes()) {
            Value::Object(members) => members,
            _ => Map::new(),
        },
        Err(_) => Map::new(),
    };
    context.insert("params".to_string(), parse(params));
    let mut answer = Vec::with_capacity(256);
    match handler(context) {
        Ok(value) => write(&mut answer, &value),
        Err(text) => {
            answer.extend_from_slice(b"{\"seam_error\":");
            write(&mut answer, &Value::String(text));
            answer.extend_from_slice(b",\"seam_error\":true}");
        }
    }
    let _ = std::io::stdout().flush();
    answer
}

/// The host has checked the text, its depth too.
fn parse(text: &[u8]) -> Value {
    let mut deserializer = Deserializer::from_slice(text);
    deserializer.disable_recursion_limit();
    match serde::Deserialize::deserialize(&mut deserializer) {
        Ok(value) => value,
        Err(error) => panic!("serde_json cannot read the params: {}", error),
    }
}

fn write(answer: &mut Vec<u8>, value: &Value) {
    if let Err(error) = serde_json::to_writer(answer, value) {
        panic!("serde_json cannot write the result: {}", error);
    }
}
