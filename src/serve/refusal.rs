//! Why a request is not answered, in the API's form of an error.

use serde_json::{Value as Json, json};

/// An error as a client of the API reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
    /// The field of the request that is at fault.
    pub(super) param: Option<String>,
    pub(super) code: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: u16, message: String) -> Refusal {
        Refusal { status, message, param: None, code: None }
    }

    /// What the client wrote cannot be used.
    pub(super) fn bad(message: String) -> Refusal {
        Refusal::new(400, message)
    }

    /// A field of the request has no value that is allowed.
    pub(super) fn of(param: &str, message: String) -> Refusal {
        Refusal { param: Some(param.to_owned()), ..Refusal::bad(message) }
    }

    pub(super) fn coded(self, code: &'static str) -> Refusal {
        Refusal { code: Some(code), ..self }
    }

    /// As the API writes it.
    pub(super) fn body(&self) -> Json {
        let kind = if self.status < 500 { "invalid_request_error" } else { "server_error" };
        json!({ "error": { "message": self.message, "type": kind, "param": self.param, "code": self.code } })
    }
}
