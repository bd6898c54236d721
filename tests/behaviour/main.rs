//! The behaviour of seclude as its users see it, one topic in each file.

#[path = "../machine/mod.rs"]
mod machine;

mod background;
mod bytes;
mod daemon;
mod descriptors;
mod doctor;
mod ends;
mod environment;
mod exec;
mod exec_users;
mod faked;
mod filtered;
mod groups;
mod held;
mod helpers;
mod identity;
mod init;
mod kept;
mod launch;
mod leftovers;
mod maps;
mod mounts;
mod namespaces;
mod needs;
mod peers;
mod plan;
mod plan_lifetime;
mod plan_rules;
mod readme;
mod refuse;
mod refuse_ids;
mod refuse_life;
mod refuse_maps;
mod report;
mod report_json;
mod searched;
mod signals;
mod statuses;
mod streams;
mod subids;
mod terminal;
mod terminal_lent;
mod told;
mod unread;
