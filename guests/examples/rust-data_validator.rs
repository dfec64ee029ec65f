// Checks each field of `data` by its rule in `rules`: "required" or "numeric", or a list of both.
use serde_json::{json, Map, Value};

pub fn handler(context: Map<String, Value>) -> Result<Value, String> {
    let params = &context["params"];
    let data = params["data"].as_object().ok_or("data must be an object")?;
    let rules = params["rules"].as_object().ok_or("rules must be an object")?;

    let mut errors = Map::new();
    for (field, rule) in rules {
        let value = data.get(field).unwrap_or(&Value::Null);
        let wanted = match rule {
            Value::Array(list) => list.iter().collect(),
            single => vec![single],
        };
        for rule in wanted {
            let problem = match rule.as_str() {
                Some("required") if is_missing(value) => "is required",
                Some("numeric") if !is_missing(value) && !is_numeric(value) => "must be numeric",
                Some("required") | Some("numeric") => continue,
                _ => return Err(format!("{} is no rule: have required, numeric", rule)),
            };
            errors.insert(field.clone(), json!(problem));
            break;
        }
    }
    Ok(json!({ "valid": errors.is_empty(), "errors": errors }))
}

fn is_missing(value: &Value) -> bool {
    value.is_null() || value == ""
}

fn is_numeric(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::String(text) => text.trim().parse::<f64>().map_or(false, f64::is_finite),
        _ => false,
    }
}
