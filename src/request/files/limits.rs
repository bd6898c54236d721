//! The limits and priorities of an OCI process. Source: the OCI runtime specification.

use super::Asked;
use super::members::Members;

/// Takes `rlimits`, `oomScoreAdj`, `scheduler` and `ioPriority`; what it leaves in them is not honoured.
pub fn process(asked: &mut Asked, members: &mut Members) -> Result<(), String> {
    for mut limit in members.objects("rlimits")? {
        let name = word(&mut limit, "type")?;
        let [soft, hard] = ["soft", "hard"].map(|key| bound(&mut limit, key));
        asked.say("rlimit", format!("{name}={}:{}", soft?, hard?));
        asked.unhonoured.extend(limit.rest());
    }
    if let Some(score) = members.integer("oomScoreAdj")? {
        asked.say("oom-score-adj", score);
    }
    if let Some(mut scheduler) = members.object("scheduler")? {
        let policy = word(&mut scheduler, "policy")?;
        let priority = scheduler.integer("priority")?.filter(|priority| *priority != 0);
        asked.say("sched", with(policy, priority));
        if let Some(niceness) = scheduler.integer("nice")? {
            asked.say("nice", niceness);
        }
        asked.unhonoured.extend(scheduler.rest());
    }
    if let Some(mut priority) = members.object("ioPriority")? {
        let class = word(&mut priority, "class")?;
        let levels = ["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE"].contains(&class.as_str());
        let level = priority.integer("priority")?.unwrap_or(0);
        asked.say("ioprio", with(class, Some(level).filter(|level| levels || *level != 0)));
        asked.unhonoured.extend(priority.rest());
    }
    Ok(())
}

fn word(members: &mut Members, key: &str) -> Result<String, String> {
    members.string(key)?.ok_or_else(|| format!("{} is missing", members.place(key)))
}

fn with(word: String, number: Option<i64>) -> String {
    number.map(|number| format!("{word}:{number}")).unwrap_or(word)
}

/// A limit: the highest number there is stands for none.
fn bound(members: &mut Members, key: &str) -> Result<String, String> {
    let place = members.place(key);
    let value = members.take(key).ok_or_else(|| format!("{place} is missing"))?;
    match value.as_u64() {
        Some(u64::MAX) => Ok("unlimited".to_string()),
        Some(number) => Ok(number.to_string()),
        None => Err(format!("{place} is a whole number from 0 up")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<(Vec<String>, Vec<String>), String> {
        let (mut asked, mut members) = (Asked::default(), Members::parse(text).unwrap());
        process(&mut asked, &mut members)?;
        let words =
            asked.options.iter().map(|(option, value)| format!("{option}={}", value.as_ref().unwrap()));
        Ok((words.collect(), asked.unhonoured))
    }

    #[test]
    fn limits_and_priorities_are_options() {
        let text = r#"{"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 7, "hard": 18446744073709551615}], "oomScoreAdj": -5,
            "scheduler": {"policy": "SCHED_FIFO", "priority": 3}, "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4}}"#;
        let options = [
            "rlimit=RLIMIT_NOFILE=7:unlimited",
            "oom-score-adj=-5",
            "sched=SCHED_FIFO:3",
            "ioprio=IOPRIO_CLASS_BE:4",
        ];
        assert_eq!(said(text), Ok((options.map(String::from).to_vec(), vec![])));
        let text = r#"{"scheduler": {"policy": "SCHED_BATCH", "nice": 5, "priority": 0, "flags": []},
            "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0}}"#;
        let options = ["sched=SCHED_BATCH", "nice=5", "ioprio=IOPRIO_CLASS_IDLE"];
        assert_eq!(said(text), Ok((options.map(String::from).to_vec(), vec![])));
    }

    #[test]
    fn what_is_missing_or_not_honoured_is_named_by_its_place() {
        let text = r#"{"scheduler": {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"], "runtime": 5}}"#;
        assert_eq!(said(text).unwrap().1, ["scheduler.flags", "scheduler.runtime"]);
        let told = |text| said(text).unwrap_err();
        assert_eq!(told(r#"{"rlimits": [{"type": "RLIMIT_CPU", "hard": 1}]}"#), "rlimits[0].soft is missing");
        assert_eq!(told(r#"{"rlimits": [{"soft": 1, "hard": 1}]}"#), "rlimits[0].type is missing");
        let text = r#"{"rlimits": [{"type": "RLIMIT_CPU", "soft": -1, "hard": 1}]}"#;
        assert_eq!(told(text), "rlimits[0].soft is a whole number from 0 up");
        assert_eq!(told(r#"{"ioPriority": {}}"#), "ioPriority.class is missing");
    }
}
