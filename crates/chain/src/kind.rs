use serde::Serialize;

use crate::{
    format::{Entry, FormatError, PublicDomain, SINGLE_KEY},
    governance::{self, COSE_SIGNATURES, SERVICE_INFO, SIGNATURES, ServiceInfo, ServiceStatus},
};

/// What an entry is about, in rising order of importance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// Writes public maps of an application.
    Public,
    /// Writes private maps of an application.
    Private,
    /// Bookkeeping of the ledger.
    Internal,
    /// A signature.
    Signature,
    /// Nodes, members, settings.
    Governance,
    /// The service is open.
    ServiceOpen,
    /// The service is being recovered.
    ServiceRecovering,
    /// A new service.
    ServiceNew,
}

impl EntryKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Public,
        Self::Private,
        Self::Internal,
        Self::Signature,
        Self::Governance,
        Self::ServiceOpen,
        Self::ServiceRecovering,
        Self::ServiceNew,
    ];

    /// The kind of an entry.
    ///
    /// # Errors
    /// A [`FormatError`] if it cannot be read.
    pub fn of(entry: &Entry<'_>) -> Result<Self, FormatError> {
        let mut kind = if entry.private.is_empty() { Self::Public } else { Self::Private };
        for map in PublicDomain::parse(entry.public)?.maps() {
            let map = map?;
            kind = kind.max(match map.name {
                SIGNATURES | COSE_SIGNATURES => Self::Signature,
                SERVICE_INFO => match map.get(&SINGLE_KEY) {
                    Some(Some(value)) => {
                        match governance::parse::<ServiceInfo>(SERVICE_INFO, value)?.status {
                            ServiceStatus::Opening => Self::ServiceNew,
                            ServiceStatus::Open => Self::ServiceOpen,
                            ServiceStatus::Recovering | ServiceStatus::WaitingForRecoveryShares => {
                                Self::ServiceRecovering
                            }
                        }
                    }
                    _ => Self::Governance,
                },
                name if name.starts_with("public:ccf.gov.") => Self::Governance,
                name if name.starts_with("public:ccf.internal.") => Self::Internal,
                _ => Self::Public,
            });
        }
        Ok(kind)
    }

    /// Its letter in a strip.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Public => '.',
            Self::Private => 'p',
            Self::Internal => 'i',
            Self::Signature => 's',
            Self::Governance => 'g',
            Self::ServiceOpen => 'O',
            Self::ServiceRecovering => 'R',
            Self::ServiceNew => 'N',
        }
    }
}
