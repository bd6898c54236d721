//! The format of seclude's own: an object with the long options' names as keys, and `command`.

use std::path::Path;

use serde_json::Value;

use super::Asked;
use super::members::Members;

pub fn read(mut members: Members, _path: &Path) -> Result<Asked, String> {
    let mut asked = Asked { command: members.strings("command")?, ..Asked::default() };
    while let Some((option, value)) = members.next() {
        match value {
            Value::Array(list) => {
                for value in list {
                    say(&mut asked, &option, value)?;
                }
            }
            value => say(&mut asked, &option, value)?,
        }
    }
    Ok(asked)
}

fn say(asked: &mut Asked, option: &str, value: Value) -> Result<(), String> {
    match value {
        Value::Bool(true) => asked.switch(option),
        Value::Bool(false) | Value::Null => {}
        Value::String(text) => asked.say(option, text),
        Value::Number(number) => asked.say(option, number),
        Value::Array(_) | Value::Object(_) => {
            let option = crate::failure::shown(option);
            return Err(format!("{option} is a string, a number, true, false, or an array of these"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_repeat_numbers_are_values_and_true_is_a_switch() {
        let text = r#"{"map-uid": ["0:1:1", "5:5:1"], "umask": 22, "quiet": true, "verbose": false, "command": ["a"]}"#;
        let asked = read(Members::parse(text).unwrap(), Path::new("x")).unwrap();
        let option = |name: &str, value: Option<&str>| (name.to_string(), value.map(str::to_string));
        let expected = [
            option("map-uid", Some("0:1:1")),
            option("map-uid", Some("5:5:1")),
            option("umask", Some("22")),
            option("quiet", None),
        ];
        assert_eq!((asked.options.as_slice(), asked.command), (expected.as_slice(), vec!["a".to_string()]));
    }
}
