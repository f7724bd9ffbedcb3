//! The time that a caller gives a call.

use std::time::Duration;

use http::HeaderMap;
use tonic::Status;

/// How long the caller waits: up to eight digits and a unit (gRPC over HTTP/2, `Grpc-Timeout`).
///
/// # Errors
/// `INVALID_ARGUMENT` when it is neither.
pub(crate) fn time_limit(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let parse = |text: &str| {
        let unit = text.chars().next_back()?;
        let digits = text.strip_suffix(unit)?;
        if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let count: u64 = digits.parse().ok()?;
        Some(match unit {
            'H' => Duration::from_secs(count.checked_mul(3600)?),
            'M' => Duration::from_secs(count.checked_mul(60)?),
            'S' => Duration::from_secs(count),
            'm' => Duration::from_millis(count),
            'u' => Duration::from_micros(count),
            'n' => Duration::from_nanos(count),
            _ => return None,
        })
    };
    let timeout = value.to_str().ok().and_then(parse);
    timeout.map(Some).ok_or_else(|| {
        Status::invalid_argument(format!(
            "invalid grpc-timeout: {value:?}; write a number and H, M, S, m, u or n"
        ))
    })
}
