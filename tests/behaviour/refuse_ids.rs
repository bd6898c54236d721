//! Users and groups that are refused before any system call, each with the rule; nothing is wrapped, cut or guessed.

use crate::machine::{call, can};

fn refused(words: &[&str], err: &str) {
    let words = [words, &["echo", "ran"]].concat();
    assert_eq!(call(&words).seen(), (Some(125), "", format!("seclude: {err}\n").as_str()), "{words:?}");
}

const ID: &str = "an id is a plain decimal number from 0 to 4294967294";
const NAME: &str = "a name starts with a letter or _, an id is a plain decimal number from 0 to 4294967294";
const EMPTY: &str = "it is empty: a name or a number is needed";

/// CVE-2024-40635, CVE-2026-46680, CVE-2026-30892: a number beyond 32 bits was cut to that of root.
#[test]
fn a_number_is_plain_decimal_and_never_wraps() {
    let numbers = [
        "4294967295",
        "4294967296",
        "4294967297",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999",
        "010",
        "00",
    ];
    for option in ["--user", "--group", "--groups"] {
        for text in numbers {
            refused(&[option, text], &format!("usage: cannot take {option} {text}: {ID}"));
        }
    }
    for text in numbers {
        refused(
            &["--user", &format!("0:{text}")],
            &format!("usage: cannot take --user 0:{text}: after the colon: {ID}"),
        );
        refused(
            &["--user", &format!("{text}:0")],
            &format!("usage: cannot take --user {text}:0: before the colon: {ID}"),
        );
        refused(&["--groups", &format!("1,{text}")], &format!("usage: cannot take --groups 1,{text}: {ID}"));
    }
}

/// CVE-2017-1000082: what was neither a number nor a name was passed over, and the command ran as root.
#[test]
fn what_looks_like_a_number_is_not_tried_as_a_name() {
    for text in ["+1", " 5", "0x10", "0xff", "1.5", "5abc", "1abc", "5 ", "1e3", "٥", "1_000", "१२"] {
        for option in ["--user", "--group", "--groups"] {
            refused(&[option, text], &format!("usage: cannot take {option} {text}: {NAME}"));
        }
    }
}

/// CVE-2019-14287: -1 means "unchanged" to the kernel, and the command ran as root.
#[test]
fn a_sign_is_no_id() {
    for option in ["--user", "--group", "--groups"] {
        for text in ["-1", "-0", "-root"] {
            refused(&[option, text], &format!("usage: cannot take {option} {text}: {NAME}"));
        }
    }
    refused(&["--user=0:-1"], &format!("usage: cannot take --user 0:-1: after the colon: {NAME}"));
}

#[test]
fn nothing_is_not_somebody() {
    for option in ["--user", "--group"] {
        refused(&[option, ""], &format!("usage: cannot take {option}: {EMPTY}"));
    }
    refused(&["--user", ":"], &format!("usage: cannot take --user :: before the colon: {EMPTY}"));
    refused(&["--user", ":0"], &format!("usage: cannot take --user :0: before the colon: {EMPTY}"));
    refused(&["--user", "0:"], &format!("usage: cannot take --user 0:: after the colon: {EMPTY}"));
    refused(
        &["--groups", ""],
        "usage: cannot take --groups: it is empty: init, keep, none, or a list of groups",
    );
    for text in [",1", "1,", "1,,2", ","] {
        refused(&["--groups", text], &format!("usage: cannot take --groups {text}: {EMPTY}"));
    }
}

#[test]
fn a_name_holds_no_control_byte_and_no_separator() {
    let control = |at: usize, byte: u8| format!("byte {at} is the control character 0x{byte:02x}");
    let long = "x".repeat(300);
    let rows = [
        ("5\n", "5\\n", control(2, 0x0a)),
        ("root\n", "root\\n", control(5, 0x0a)),
        ("a\u{1b}[31mb", "a\\x1b[31mb", control(2, 0x1b)),
        ("\tx", "\\tx", control(1, 0x09)),
        ("\u{7f}x", "\\x7fx", control(1, 0x7f)),
        ("a\rb", "a\\x0db", control(2, 0x0d)),
        ("a\u{85}b", "a\\xc2\\x85b", "a name does not contain '\\xc2\\x85'".to_string()),
        ("a b", "a b", "a name does not contain ' '".to_string()),
        ("a/b", "a/b", "a name does not contain '/'".to_string()),
        ("../x", "../x", NAME.to_string()),
        (".x", ".x", NAME.to_string()),
        ("#0", "#0", NAME.to_string()),
        (long.as_str(), long.as_str(), "a name is at most 255 bytes, and this is 300".to_string()),
    ];
    for (text, shown, rule) in rows {
        for option in ["--user", "--group"] {
            refused(&[option, text], &format!("usage: cannot take {option} {shown}: {rule}"));
        }
    }
    refused(
        &["--user", "a:b:c"],
        "usage: cannot take --user a:b:c: after the colon: a name does not contain ':'",
    );
    refused(&["--user", "a,b"], "usage: cannot take --user a,b: a name does not contain ','");
}

#[test]
fn a_name_has_to_be_known() {
    let unknown = |what: &str| {
        format!("account: cannot look up {what} bogus: the {what} database has no {what} of that name")
    };
    refused(&["--user", "bogus"], &unknown("user"));
    refused(&["--user", "bogus:0"], &unknown("user"));
    refused(&["--user", "root:bogus"], &unknown("group"));
    refused(&["--group", "bogus"], &unknown("group"));
    refused(&["--groups", "0,bogus"], &unknown("group"));
}

#[test]
fn a_number_without_entry_and_group_does_not_keep_the_caller_s_group() {
    let rule = "the user database has no entry with a group for it, and the caller's is not kept";
    let hint = "seclude: hint: say the group as well: --user 54321:54321";
    refused(&["--user", "54321"], &format!("account: cannot take --user 54321: {rule}\n{hint}"));
}

#[test]
fn words_for_groups_stand_alone() {
    let rule = "init, keep and none stand alone; only lists can be repeated";
    for (one, other) in [("none", "1"), ("1", "keep"), ("init", "init")] {
        refused(&["--groups", one, "--groups", other], &format!("plan: cannot take --groups: {rule}"));
    }
    let rule = "init takes the groups of a user that the database has: add --user NAME";
    refused(&["--groups", "init"], &format!("plan: cannot take --groups init: {rule}"));
    refused(
        &["--user", "54321:54321", "--groups", "init"],
        &format!("plan: cannot take --groups init: {rule}"),
    );
}

#[test]
fn a_list_longer_than_the_kernel_takes_is_refused() {
    // One argument holds at most 131071 bytes, so the list comes in several.
    let lists: Vec<String> = (0..5)
        .map(|part| {
            (0..14_000).map(|n| (100_000 + part * 14_000 + n).to_string()).collect::<Vec<_>>().join(",")
        })
        .collect();
    let words: Vec<&str> = lists.iter().flat_map(|list| ["--groups", list.as_str()]).collect();
    refused(&words, "plan: cannot take --groups: 70000 groups: the kernel takes 65536");
}

#[test]
fn as_many_groups_as_the_kernel_takes_are_taken() {
    if !can(&["root"]) {
        return;
    }
    let lists: Vec<String> = (0..8)
        .map(|part| {
            (0..8_192).map(|n| (100_000 + part * 8_192 + n).to_string()).collect::<Vec<_>>().join(",")
        })
        .collect();
    let mut words: Vec<&str> = lists.iter().flat_map(|list| ["--groups", list.as_str()]).collect();
    words.extend(["-q", "--user", "7:7", "sh", "-c", "grep Groups: /proc/self/status | wc -w"]);
    assert_eq!(call(&words).seen(), (Some(0), "65537\n", ""));
}
