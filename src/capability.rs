//! Capabilities as sets: their names and numbers, and what a list of them comes to. It knows no process.

use std::fmt::{self, Display};
use std::str::FromStr;

use caps::Capability;

/// A set, a bit for each; the kernel has room for 64. Source: capabilities(7).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Capabilities(pub u64);

impl Capabilities {
    pub const NONE: Capabilities = Capabilities(0);
    /// Whatever there is.
    pub const ALL: Capabilities = Capabilities(u64::MAX);

    pub fn of(capability: Capability) -> Capabilities {
        Capabilities(capability.bitmask())
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in both.
    pub fn within(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & other.0)
    }

    pub fn with(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 | other.0)
    }

    pub fn without(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & !other.0)
    }

    pub fn numbers(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |number| self.0 >> number & 1 == 1)
    }
}

/// `chown,kill`; by its number where it is newer than this build's names; `none` where there is none.
impl Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (index, number) in self.numbers().enumerate() {
            f.write_str(if index > 0 { "," } else { "" })?;
            match caps::all().into_iter().find(|capability| capability.index() == number) {
                Some(known) => f.write_str(&known.to_string().trim_start_matches("CAP_").to_lowercase())?,
                None => write!(f, "{number}")?,
            }
        }
        Ok(())
    }
}

/// A name, with or without CAP_, in any case, or a number.
fn one(text: &str) -> Result<Capabilities, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if let Ok(known) = Capability::from_str(&format!("CAP_{name}")) {
        return Ok(Capabilities::of(known));
    }
    let plain = name.len() <= 2 && name.bytes().all(|byte| byte.is_ascii_digit());
    match name.parse::<u8>() {
        Ok(number) if plain && number < 64 && number.to_string() == name => Ok(Capabilities(1 << number)),
        _ => Err(format!(
            "there is no capability {text:?}: a name of capabilities(7), a number up to 63, or all"
        )),
    }
}

/// `CAP[,CAP]...` or `all`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CapList(pub Capabilities);

impl FromStr for CapList {
    type Err = String;

    fn from_str(text: &str) -> Result<CapList, String> {
        if text == "all" {
            return Ok(CapList(Capabilities::ALL));
        }
        let mut set = Capabilities::NONE;
        for word in text.split(',') {
            set = set.with(one(word)?);
        }
        Ok(CapList(set))
    }
}

/// A set by its members, or by what is done to another, from left to right:
/// `CAP[,CAP]...`, `all`, `none`, or `±CAP[,±CAP]...`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CapSet {
    Exact(Capabilities),
    /// `kept` of the other stays, and `more` comes to it; with `all`, whatever of it there is.
    Changed {
        kept: Capabilities,
        more: Capabilities,
        all: bool,
    },
}

impl CapSet {
    /// What it comes to where `base` is what there would be, of `known`, which is all there is.
    pub fn of(self, base: Capabilities, known: Capabilities) -> Capabilities {
        match self {
            CapSet::Exact(Capabilities::ALL) => known,
            CapSet::Exact(set) => set,
            CapSet::Changed { kept, more, all } => {
                base.within(kept).with(if all { more.within(known) } else { more })
            }
        }
    }
}

impl FromStr for CapSet {
    type Err = String;

    fn from_str(text: &str) -> Result<CapSet, String> {
        if !text.starts_with(['+', '-']) {
            return match text {
                "none" => Ok(CapSet::Exact(Capabilities::NONE)),
                text => text.parse().map(|CapList(set)| CapSet::Exact(set)),
            };
        }
        let (mut kept, mut more, mut all) = (Capabilities::ALL, Capabilities::NONE, false);
        for word in text.split(',') {
            match word.split_at_checked(1) {
                Some(("+", name)) => {
                    let CapList(set) = name.parse()?;
                    all |= set == Capabilities::ALL;
                    more = more.with(set);
                }
                Some(("-", name)) => {
                    let CapList(set) = name.parse()?;
                    (kept, more) = (kept.without(set), more.without(set));
                }
                _ => return Err("either each word has a + or - before it, or none has".to_string()),
            }
        }
        Ok(CapSet::Changed { kept, more, all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<u64, String> {
        text.parse().map(|CapList(set)| set.0)
    }

    #[test]
    fn a_capability_is_a_name_in_any_form_or_a_number() {
        assert_eq!(list("chown,CAP_KILL,cap_Net_Raw"), Ok(1 | 1 << 5 | 1 << 13));
        assert_eq!(list("41,63"), Ok(1 << 41 | 1 << 63));
        assert_eq!(list("all"), Ok(u64::MAX));
        for wrong in ["", "chown,", "64", "041", "+5", "none", "chwon", "CAP_", "cap_all", " kill", "1e1"] {
            assert!(list(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn a_set_is_told_by_names_and_by_numbers_that_have_none() {
        assert_eq!(Capabilities(1 | 1 << 10 | 1 << 60).to_string(), "chown,net_bind_service,60");
        assert_eq!(Capabilities::NONE.to_string(), "none");
    }

    #[test]
    fn a_set_is_exact_or_a_change() {
        let known = Capabilities(0xff);
        let of = |text: &str, base| text.parse::<CapSet>().map(|set| set.of(Capabilities(base), known).0);
        assert_eq!(of("none", 7), Ok(0));
        assert_eq!(of("all", 7), Ok(0xff));
        assert_eq!(of("kill", 7), Ok(1 << 5));
        assert_eq!(of("+kill,-chown", 7), Ok(1 << 5 | 6));
        assert_eq!(of("+all,-chown", 0), Ok(0xfe));
        assert_eq!(of("-all,+kill", 7), Ok(1 << 5));
        assert_eq!(of("+50", 1), Ok(1 | 1 << 50));
        for wrong in ["+kill,chown", "kill,+chown", "+", "-", "+none"] {
            assert!(wrong.parse::<CapSet>().is_err(), "{wrong:?} was taken");
        }
    }
}
