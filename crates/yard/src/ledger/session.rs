//! Sessions: one folder per run, named by universal time, never shared; `watch` for watch mode (request "Session
//! Directories").

use std::io;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ledger_fs::Kind;

use super::home::{Home, HomeError};
use crate::failpoint::reached;

/// Name of the session of watch mode.
pub const WATCH_SESSION: &str = "watch";

/// A session folder.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its name.
    pub name: String,
}

impl Home {
    /// Makes the folder of a new session: never one that exists.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new_session(&self, now: Timestamp) -> Result<Session, HomeError> {
        let stem = now.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d-%H-%M-%S").to_string();
        for number in 1_u32.. {
            let name = if number == 1 { stem.clone() } else { format!("{stem}-{number}") };
            match std::fs::create_dir(self.path().join(&name)) {
                Ok(()) => return self.begun(name),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(HomeError::File(io::Error::other("no free session name")))
    }

    /// The session of watch mode; made when missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn watch_session(&self) -> Result<Session, HomeError> {
        self.dir().create_dir_all(Path::new(WATCH_SESSION))?;
        self.begun(WATCH_SESSION.to_owned())
    }

    fn begun(&self, name: String) -> Result<Session, HomeError> {
        reached("session/made");
        self.write(Path::new(".current-session"), format!("{name}\n").as_bytes(), false)?;
        Ok(Session { name })
    }

    /// Names of the sessions, oldest first, `watch` last.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn sessions(&self) -> Result<Vec<String>, HomeError> {
        let mut names = Vec::new();
        for entry in self.dir().entries(Path::new(""))? {
            let entry = entry?;
            let name = entry.name.to_string_lossy().into_owned();
            if entry.kind == Kind::Dir && is_session_name(&name) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes all sessions. A session folder that holds anything else than contexts and logs is left, and so is everything
    /// that is no session.
    ///
    /// # Errors
    /// [`HomeError::NotALedger`] names the first thing that does not belong into a session; nothing is removed then.
    pub fn clean(&self) -> Result<Vec<String>, HomeError> {
        let sessions = self.sessions()?;
        for session in &sessions {
            self.check_session(Path::new(session))?;
        }
        for session in &sessions {
            std::fs::remove_dir_all(self.path().join(session))?;
        }
        for name in [".run", ".current-session"] {
            let path = self.path().join(name);
            let removed =
                if name == ".run" { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(sessions)
    }

    fn check_session(&self, folder: &Path) -> Result<(), HomeError> {
        for entry in self.dir().entries(folder)? {
            let entry = entry?;
            let name = folder.join(&entry.name);
            let text = entry.name.to_string_lossy();
            let is_log = |end: &str| text.ends_with(end) || text.contains(&format!("{end}."));
            match entry.kind {
                Kind::Dir => self.check_session(&name)?,
                _ if text.ends_with(".context.json") || text.ends_with(".tmp") => {}
                _ if is_log(".stdout.log") || is_log(".stderr.log") => {}
                _ => {
                    let stray = name.to_string_lossy().into_owned();
                    return Err(HomeError::NotALedger { path: self.path().to_owned(), stray });
                }
            }
        }
        Ok(())
    }
}

/// `2026-01-12-10-30-00`, the same with a number behind, or `watch`.
pub(crate) fn is_session_name(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = name.split('-').collect();
    let lengths: Vec<usize> = parts.iter().take(6).map(|part| part.len()).collect();
    name == WATCH_SESSION
        || (lengths == [4, 2, 2, 2, 2, 2] && parts.len() <= 7 && parts.iter().all(|part| digits(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sessions_never_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(&folder.path().join("ledger.d")).unwrap();
        let now = "2026-01-12T10:30:00Z".parse().unwrap();
        let names: Vec<String> = (0..3).map(|_| home.new_session(now).unwrap().name).collect();
        assert_eq!(names, ["2026-01-12-10-30-00", "2026-01-12-10-30-00-2", "2026-01-12-10-30-00-3"]);
        home.watch_session().unwrap();
        assert_eq!(home.watch_session().unwrap().name, "watch");
        assert_eq!(home.sessions().unwrap().len(), 4);
        let current = std::fs::read_to_string(home.path().join(".current-session")).unwrap();
        assert_eq!(current, "watch\n");
    }

    #[test]
    fn session_names() {
        for (name, expected) in [
            ("2026-01-12-10-30-00", true),
            ("2026-01-12-10-30-00-2", true),
            ("watch", true),
            ("2026-01-12", false),
            ("2026-01-12-10-30-0x", false),
            ("home", false),
        ] {
            assert_eq!(is_session_name(name), expected, "{name}");
        }
    }
}
