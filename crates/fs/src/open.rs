//! How a file is opened.

/// How [`Dir::open`](crate::Dir::open) opens a file.
///
/// ```
/// use ledger_fs::Open;
///
/// let active = Open::APPEND.create_new();        // O_RDWR | O_APPEND | O_CREAT | O_EXCL
/// let secret = Open::WRITE.create_new().private(); // nobody else may read it
/// assert_ne!(active, secret);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Open {
    pub(crate) access: Access,
    pub(crate) create: Create,
    pub(crate) truncate: bool,
    pub(crate) mode: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    Read,
    Append,
    Write,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Create {
    Never,
    IfMissing,
    New,
}

impl Open {
    /// Reading an existing file.
    pub const READ: Self = Self::with(Access::Read);
    /// Reading anywhere and writing at the end only: [`File::append`](crate::File::append) works,
    /// [`File::write_at`](crate::File::write_at) is refused.
    pub const APPEND: Self = Self::with(Access::Append);
    /// Reading and writing anywhere: [`File::write_at`](crate::File::write_at) works,
    /// [`File::append`](crate::File::append) is refused.
    pub const WRITE: Self = Self::with(Access::Write);

    const fn with(access: Access) -> Self {
        Self { access, create: Create::Never, truncate: false, mode: 0o666 }
    }

    /// Creates the file when it is missing. With [`Open::READ`] the open is refused.
    #[must_use]
    pub const fn create(mut self) -> Self {
        self.create = Create::IfMissing;
        self
    }

    /// Creates the file, and fails with [`AlreadyExists`](std::io::ErrorKind::AlreadyExists) when the name is taken, by
    /// a link too. Of several processes that try at once exactly one succeeds.
    #[must_use]
    pub const fn create_new(mut self) -> Self {
        self.create = Create::New;
        self
    }

    /// Empties the file when it exists. Only with [`Open::WRITE`].
    #[must_use]
    pub const fn truncate(mut self) -> Self {
        self.truncate = true;
        self
    }

    /// Permissions of a created file, less the process's umask; 0666 unless set. An existing file keeps its own.
    #[must_use]
    pub const fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// A created file is readable by its owner only (0600): for secrets.
    #[must_use]
    pub const fn private(self) -> Self {
        self.mode(0o600)
    }

    /// Why this combination makes no sense, if it does not.
    pub(crate) const fn contradiction(self) -> Option<&'static str> {
        match (self.access, self.create, self.truncate) {
            (Access::Read, Create::IfMissing | Create::New, _) => {
                Some("a file opened for reading cannot be created")
            }
            (Access::Read | Access::Append, _, true) => Some("only a file opened for writing can be emptied"),
            _ => None,
        }
    }
}
