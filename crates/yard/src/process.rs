//! Who a process is, whether it lives, and how to signal it without ever meeting a stranger (specification §15, 17–22).
//!
//! A pid names nothing for long: the kernel gives it to somebody else. An [`Identity`] adds the time at which the
//! process started, in clock ticks since boot (field 22 of `/proc/PID/stat`), and the boot
//! (`/proc/sys/kernel/random/boot_id`). Signals go through a pidfd that is opened first and checked after, so the
//! process that is signalled is the one that was recorded, or none.
//!
//! Everything here reads `/proc`, so it works on Linux only.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process, and no other that ever has its pid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// Start of the process, in clock ticks since boot.
    pub start_ticks: u64,
    /// Boot during which it ran.
    pub boot_id: String,
}

/// One line of the process table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: u32,
    pub(crate) state: char,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) start_ticks: u64,
}

impl Identity {
    /// The process that has this pid now; `None` if there is none, or if it is a zombie.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = Stat::read(pid).filter(Stat::is_alive)?;
        Some(Self { pid, start_ticks: stat.start_ticks, boot_id: boot_id().to_owned() })
    }

    /// This process.
    pub fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// Whether that very process is still there. A zombie is dead; a process of another user is alive.
    pub fn is_alive(&self) -> bool {
        self.boot_id == boot_id()
            && Stat::read(self.pid)
                .is_some_and(|stat| stat.is_alive() && stat.start_ticks == self.start_ticks)
    }

    /// Signals that very process. `Ok(false)` if it is not there any more.
    ///
    /// # Errors
    /// When the kernel refuses, for example because the process belongs to somebody else.
    pub fn signal(&self, signal: Signal) -> std::io::Result<bool> {
        let Some(pid) = raw(self.pid) else { return Ok(false) };
        let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if !self.is_alive() {
            return Ok(false);
        }
        match pidfd_send_signal(descriptor, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Stat {
    /// What `/proc/PID/stat` says, if there is such a process.
    pub(crate) fn read(pid: u32) -> Option<Self> {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(pid, &String::from_utf8_lossy(&text))
    }

    /// The name of the program stands in parentheses and may hold anything, parentheses and spaces too.
    fn parse(pid: u32, text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let start_ticks = fields.nth(16)?.parse().ok()?;
        Some(Self { pid, state, parent, group, start_ticks })
    }

    fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }

    fn identity(&self) -> Identity {
        Identity { pid: self.pid, start_ticks: self.start_ticks, boot_id: boot_id().to_owned() }
    }
}

/// All living processes.
pub(crate) fn table() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Stat::read).filter(Stat::is_alive).collect()
}

/// The living descendants of a process, itself excluded: children, their children and so on.
pub(crate) fn descendants(ancestor: u32) -> Vec<Identity> {
    let mut found = Vec::new();
    let mut open = vec![ancestor];
    while let Some(parent) = open.pop() {
        for stat in children(parent).into_iter().filter_map(Stat::read) {
            // A zombie has no children any more: they have gone to the sub-reaper.
            if stat.is_alive() {
                open.push(stat.pid);
                found.push(stat.identity());
            }
        }
    }
    found
}

/// The children of a process, from `/proc/PID/task/TID/children`, which costs nothing; where the kernel does not have that
/// file, from the whole table.
fn children(parent: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else { return Vec::new() };
    let lists: Result<Vec<String>, _> = threads
        .flatten()
        .map(|thread| match fs::read_to_string(thread.path().join("children")) {
            // A thread that has ended meanwhile.
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(String::new()),
            other => other,
        })
        .collect();
    match lists {
        Ok(lists) => {
            lists.iter().flat_map(|list| list.split_ascii_whitespace()).flat_map(str::parse).collect()
        }
        Err(_) => table().into_iter().filter(|stat| stat.parent == parent).map(|stat| stat.pid).collect(),
    }
}

/// The environment with which a process was started; `None` if it is gone or belongs to somebody else.
pub(crate) fn environment(pid: u32) -> Option<BTreeMap<String, String>> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let variables = bytes.split(|byte| *byte == 0).filter_map(|variable| {
        let text = OsString::from_vec(variable.to_vec()).into_string().ok()?;
        let (name, value) = text.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    Some(variables.collect())
}

/// The command line of a process, its words joined by spaces.
pub(crate) fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.trim_end_matches('\0').replace('\0', " ")
}

/// A pid in the form of the kernel interface; `None` for 0 and for what cannot be one.
pub(crate) fn raw(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        text.trim().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_confuse_the_parser() {
        let line = "42 (a) b (c) S 1 40 40 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2";
        let expected = Stat { pid: 42, state: 'S', parent: 1, group: 40, start_ticks: 98765 };
        assert_eq!(Stat::parse(42, line), Some(expected));
        assert_eq!(Stat::parse(42, "garbage"), None);
    }

    #[test]
    fn a_zombie_is_dead() {
        let mut child = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
        let identity = Identity::of(child.id()).unwrap();
        assert!(identity.is_alive());
        assert!(identity.signal(Signal::KILL).unwrap());
        while Stat::read(child.id()).unwrap().state != 'Z' {
            std::thread::yield_now();
        }
        assert!(!identity.is_alive());
        assert_eq!(Identity::of(child.id()), None);
        child.wait().unwrap();
    }

    #[test]
    fn a_stranger_with_the_recorded_pid_is_never_signalled() {
        let mut stranger = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
        let mut recorded = Identity::of(stranger.id()).unwrap();
        recorded.start_ticks -= 1;
        assert!(!recorded.is_alive());
        assert!(!recorded.signal(Signal::KILL).unwrap());
        let mut other_boot = Identity::of(stranger.id()).unwrap();
        other_boot.boot_id = "another".to_owned();
        assert!(!other_boot.signal(Signal::KILL).unwrap());
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }

    #[test]
    fn pid_one_is_alive_though_it_may_belong_to_somebody_else() {
        assert!(Identity::of(1).unwrap().is_alive());
        assert_eq!(Identity::of(0), None);
    }
}
