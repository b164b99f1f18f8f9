//! Body and path of a request, or an error that names the fault.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use vswitch_api::error::{ApiError, ErrorCode};

use super::error::Failure;
use super::limits;

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let read = Json::<T>::from_request(request, state);
        match tokio::time::timeout(limits::BODY_READ_MAX, read).await {
            Ok(Ok(Json(value))) => Ok(Self(value)),
            Ok(Err(rejection)) => Err(refuse_body(&rejection)),
            Err(_) => Err(Failure::new(
                StatusCode::REQUEST_TIMEOUT,
                ApiError::new(
                    ErrorCode::InvalidArgument,
                    "the request's body did not come in time",
                ),
            )),
        }
    }
}

fn refuse_body(rejection: &JsonRejection) -> Failure {
    let status = match rejection {
        JsonRejection::MissingJsonContentType(_) => {
            let error = ApiError::new(ErrorCode::InvalidArgument, "the request's body is not JSON")
                .with_hint("send the header `content-type: application/json`");
            return Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error);
        }
        JsonRejection::JsonSyntaxError(_) | JsonRejection::JsonDataError(_) => {
            StatusCode::BAD_REQUEST
        }
        other => other.status(),
    };
    let mut message = rejection.body_text();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        message = format!("the request's body is longer than {} bytes", limits::BODY_MAX);
    }
    let message = message.lines().collect::<Vec<_>>().join(" ");
    Failure::new(status, ApiError::new(ErrorCode::InvalidArgument, message))
}

/// A percent-decoded segment of the path, or several as a tuple.
pub(super) struct PathSegment<T = String>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathSegment<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let segments: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        match segments {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(rejection) => Err(Failure::new(
                StatusCode::BAD_REQUEST,
                ApiError::new(ErrorCode::InvalidArgument, rejection.body_text()),
            )),
        }
    }
}
