//! What all calls by HTTP share: the handlers that they are handed to, answers and refusals as JSON.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tonic::metadata::MetadataMap;
use tonic::{Code, Extensions, Request, Status};
use tonic_types::StatusExt;

use crate::api::inference::Inference;
use crate::api::model::Model;
use crate::broker::admission::Desk;
use crate::error::Refusal;

/// The handlers that calls are handed to.
#[derive(Clone)]
pub struct Face {
    pub inference: Arc<Inference>,
    pub model: Arc<Model>,
    /// None without a broker.
    pub desk: Option<Arc<Desk>>,
}

/// A refusal as JSON.
pub struct Refused(Status);

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.0.code() {
            Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition => StatusCode::BAD_REQUEST,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::AlreadyExists => StatusCode::CONFLICT,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let reason = self.0.get_details_error_info().map(|info| info.reason);
        let field = self.0.get_details_bad_request().and_then(|own| Some(own.field_violations.first()?.field.clone()));
        json_response(status, &json!({ "reason": reason, "field": field, "message": self.0.message() }))
    }
}

pub type Answered = Result<Response, Refused>;

pub fn json_response(status: StatusCode, content: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{content}\n")).into_response()
}

pub fn ok(content: &Value) -> Answered {
    Ok(json_response(StatusCode::OK, content))
}

/// A message as a gRPC call with the key of the HTTP call.
pub fn call<T>(headers: &HeaderMap, message: T) -> Request<T> {
    let mut own = HeaderMap::new();
    if let Some(key) = headers.get(header::AUTHORIZATION) {
        own.insert(header::AUTHORIZATION, key.clone());
    }
    Request::from_parts(MetadataMap::from_headers(own), Extensions::default(), message)
}
