//! How the gateway says no: `{"code":5,"message":"…","details":[]}` (specification §5.5, §5.7).
//!
//! The facts of an error, where there are any, stand beside these three as `fact`; `details` stays empty, because
//! clients expect messages of types that they know in it.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use ledger_api::status::shortened;
use serde::Serialize;
use tonic::{Code, Status};

use super::json::fact_of;
use super::routes::NoRoute;

/// A request that was not carried out, or has failed.
#[derive(Debug)]
pub struct Refusal {
    status: Status,
    http: StatusCode,
}

impl Refusal {
    /// Another HTTP status than that of the code.
    pub(super) fn with_http(http: StatusCode, status: Status) -> Self {
        Self { status, http }
    }

    /// Why, in the terms of gRPC.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The HTTP status.
    pub fn http(&self) -> StatusCode {
        self.http
    }

    pub(super) fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(body(&self.status).into());
        *response.status_mut() = self.http;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.http == StatusCode::UNAUTHORIZED
            && let Ok(message) = HeaderValue::from_str(self.status.message())
        {
            response.headers_mut().insert(WWW_AUTHENTICATE, message);
        }
        response
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self { http: http_status(status.code()), status }
    }
}

impl From<NoRoute> for Refusal {
    fn from(reason: NoRoute) -> Self {
        match reason {
            NoRoute::Malformed(error) => Status::invalid_argument(error.to_string()).into(),
            NoRoute::NotFound => Status::not_found("Not Found").into(),
            NoRoute::WrongMethod => Status::unimplemented("Method Not Allowed").into(),
        }
    }
}

/// The body for a status.
pub(super) fn body(status: &Status) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<F> {
        code: i32,
        message: String,
        details: [(); 0],
        #[serde(skip_serializing_if = "Option::is_none")]
        fact: Option<F>,
    }
    // It may repeat what was wrong in the request, of any length.
    let message = shortened(status.message());
    let body = Body { code: status.code().into(), message, details: [], fact: fact_of(status) };
    // Numbers and texts always have a JSON form.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The HTTP status for a code.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        // What the client's end of the connection is told, if it is still there: "client closed request".
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use ledger_api::status::to_status;
    use ledger_streams::{Conflict, StoreError};

    use super::*;

    #[test]
    fn every_code_has_the_http_status_that_clients_know() {
        for (code, http) in [
            (1, 499),
            (2, 500),
            (3, 400),
            (4, 504),
            (5, 404),
            (6, 409),
            (7, 403),
            (8, 429),
            (9, 400),
            (10, 409),
            (11, 400),
            (12, 501),
            (13, 500),
            (14, 503),
            (15, 500),
            (16, 401),
        ] {
            let refusal = Refusal::from(Status::new(Code::from(code), "why \"x\""));
            let response = refusal.into_response();
            assert_eq!(response.status(), http, "{code}");
            assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
            let body = format!(r#"{{"code":{code},"message":"why \"x\"","details":[]}}"#);
            assert_eq!(response.body(), body.as_bytes());
        }
    }

    #[test]
    fn facts_stand_beside_the_details() {
        let error: StoreError =
            Conflict { stream: "s".to_owned(), expected_last_id: Some("7".to_owned()), actual_last_id: None }
                .into();
        let body: serde_json::Value = serde_json::from_slice(&body(&to_status(&error))).unwrap();
        assert_eq!(body["code"], 10);
        assert_eq!(body["details"], serde_json::json!([]));
        assert_eq!(body["fact"], serde_json::json!({"conflict": {"stream": "s", "expectedLastId": "7"}}));
    }
}
