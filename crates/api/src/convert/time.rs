//! Times: seconds and nanoseconds since 1970.

use ledger_streams::Timestamp;

const NANOS_PER_SECOND: i32 = 1_000_000_000;

/// The message for a time.
pub fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = (time.as_second(), time.subsec_nanosecond());
    // Before 1970 both parts are negative here; in the message nanoseconds always count forward.
    if nanos < 0 {
        prost_types::Timestamp {
            seconds: seconds.saturating_sub(1),
            nanos: nanos.saturating_add(NANOS_PER_SECOND),
        }
    } else {
        prost_types::Timestamp { seconds, nanos }
    }
}

/// The time in a message; `None` if it is none.
pub(super) fn into_time(message: prost_types::Timestamp) -> Option<Timestamp> {
    if !(0..NANOS_PER_SECOND).contains(&message.nanos) {
        return None;
    }
    Timestamp::new(message.seconds, message.nanos).ok()
}
