//! Statements with `{{name}}`, `{{password}}` and the like in them.

use crate::{EngineError, Result};

/// Puts values in place of `{{key}}`. What a value contains is not looked at again. The values must already be quoted as
/// the target needs it.
///
/// # Errors
/// [`EngineError::bad_input`] at `field` for a key that there is no value for, or a `{{` without its end.
pub fn render(field: &str, text: &str, values: &[(&str, &str)]) -> Result<String> {
    let mut out = String::with_capacity(text.len() + 128);
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        out.push_str(&rest[..start]);
        let inner = &rest[start + 2..];
        let Some(end) = inner.find("}}") else {
            return Err(EngineError::bad_input(field, "has '{{' without '}}'"));
        };
        let key = inner[..end].trim();
        let Some((_, value)) = values.iter().find(|(name, _)| *name == key) else {
            let known: Vec<_> = values.iter().map(|(name, _)| format!("{{{{{name}}}}}")).collect();
            return Err(EngineError::bad_input(
                field,
                format!("has the unknown placeholder {{{{{key}}}}}: there are {}", known.join(", ")),
            ));
        };
        out.push_str(value);
        rest = &inner[end + 2..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_once() {
        let values = [("name", "\"a\""), ("password", "'{{name}}'")];
        let text = render("s", "CREATE ROLE {{name}} PASSWORD {{ password }}", &values).unwrap();
        assert_eq!(text, "CREATE ROLE \"a\" PASSWORD '{{name}}'");
        assert_eq!(render("s", "no placeholder }}", &values).unwrap(), "no placeholder }}");
        for bad in ["{{nam}}", "{{name"] {
            assert_eq!(render("s", bad, &values).unwrap_err().field.as_deref(), Some("s"));
        }
    }
}
