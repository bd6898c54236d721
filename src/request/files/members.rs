//! A JSON object whose members are taken out one by one, each of its type, so that what is left was not understood.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

/// The members that are left, in their order, and the object's place in its file.
#[derive(Debug)]
pub struct Members {
    place: String,
    list: Vec<(String, Value)>,
}

/// An object that names no member twice; serde_json's own would keep the last in silence.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Object, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Object;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut list: Vec<(String, Value)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if list.iter().any(|(other, _)| *other == key) {
                        return Err(A::Error::custom(format!(
                            "{} is given twice",
                            crate::failure::shown(key)
                        )));
                    }
                    list.push((key, value));
                }
                Ok(Object(list))
            }
        }
        from.deserialize_map(Each)
    }
}

impl Members {
    pub fn parse(text: &str) -> Result<Members, String> {
        let Object(list) =
            serde_json::from_str(text).map_err(|error| format!("it is not JSON as needed: {error}"))?;
        Ok(Members { place: String::new(), list })
    }

    /// The object's place with one of its members: `linux.namespaces`.
    pub fn place(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_string() } else { format!("{}.{key}", self.place) }
    }

    pub fn has(&self, key: &str) -> bool {
        self.list.iter().any(|(name, _)| name == key)
    }

    pub fn next(&mut self) -> Option<(String, Value)> {
        (!self.list.is_empty()).then(|| self.list.remove(0))
    }

    /// Takes a member, of any type; null is as good as absent.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        let at = self.list.iter().position(|(name, _)| name == key)?;
        Some(self.list.remove(at).1).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &mut self,
        key: &str,
        what: &str,
        of: impl Fn(Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let place = self.place(key);
        let value = self.take(key);
        value.map(|value| of(value).ok_or_else(|| format!("{place} is {what}"))).transpose()
    }

    pub fn string(&mut self, key: &str) -> Result<Option<String>, String> {
        self.typed(key, "a string", string)
    }

    pub fn boolean(&mut self, key: &str) -> Result<Option<bool>, String> {
        self.typed(key, "true or false", |value| value.as_bool())
    }

    pub fn integer(&mut self, key: &str) -> Result<Option<i64>, String> {
        self.typed(key, "a whole number", |value| value.as_i64())
    }

    /// A whole number that has to be there.
    pub fn needed(&mut self, key: &str) -> Result<i64, String> {
        self.integer(key)?.ok_or_else(|| format!("{} is missing", self.place(key)))
    }

    pub fn strings(&mut self, key: &str) -> Result<Vec<String>, String> {
        let list = self.typed(key, "an array of strings", |value| match value {
            Value::Array(list) => list.into_iter().map(string).collect(),
            _ => None,
        })?;
        Ok(list.unwrap_or_default())
    }

    pub fn object(&mut self, key: &str) -> Result<Option<Members>, String> {
        let place = self.place(key);
        let list = self.typed(key, "an object", object)?;
        Ok(list.map(|list| Members { place, list }))
    }

    pub fn objects(&mut self, key: &str) -> Result<Vec<Members>, String> {
        let place = self.place(key);
        let lists = self.typed(key, "an array of objects", |value| match value {
            Value::Array(list) => list.into_iter().map(object).collect::<Option<Vec<_>>>(),
            _ => None,
        })?;
        let lists = lists.unwrap_or_default().into_iter().enumerate();
        Ok(lists.map(|(index, list)| Members { place: format!("{place}[{index}]"), list }).collect())
    }

    /// The places of what is left and asks for something: an empty list or object asks for nothing.
    pub fn rest(self) -> Vec<String> {
        let empty = |value: &Value| match value {
            Value::Null => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(list) => list.is_empty(),
            _ => false,
        };
        self.list.iter().filter(|(_, value)| !empty(value)).map(|(key, _)| self.place(key)).collect()
    }
}

fn string(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn object(value: Value) -> Option<Vec<(String, Value)>> {
    match value {
        Value::Object(map) => Some(map.into_iter().collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_is_left_with_its_place() {
        let mut members = Members::parse(r#"{"a": {"b": 1, "c": "x", "d": []}, "e": null}"#).unwrap();
        let mut inner = members.object("a").unwrap().unwrap();
        assert_eq!(inner.integer("b"), Ok(Some(1)));
        assert_eq!(inner.rest(), ["a.c"]);
        assert_eq!(members.rest(), Vec::<String>::new());
    }

    #[test]
    fn a_member_of_another_type_is_refused_by_its_place() {
        let mut members = Members::parse(r#"{"a": {"b": "1"}}"#).unwrap();
        let mut inner = members.object("a").unwrap().unwrap();
        assert_eq!(inner.integer("b"), Err("a.b is a whole number".to_string()));
        assert!(Members::parse(r#"{"a": 1, "a": 2}"#).unwrap_err().contains("a is given twice"));
        assert!(Members::parse("[]").is_err());
    }
}
