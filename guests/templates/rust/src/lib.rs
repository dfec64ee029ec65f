//! Makes the slug of a title, as it stands in an address.
//!
//!   {"title": "Hello, World!"}  →  {"slug": "hello-world"}

use serde_json::{json, Map, Value};

pub fn handler(context: Map<String, Value>) -> Result<Value, String> {
    let title = context["params"]["title"].as_str().ok_or("The title is missing")?;
    let words: Vec<String> = title
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    if words.is_empty() {
        return Err("The title has neither letters nor digits".into());
    }
    let slug = words.join("-");
    println!("the slug of {title} is {slug}"); // into the log of the call
    Ok(json!({ "slug": slug }))
}
