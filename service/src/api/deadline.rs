//! A call whose own deadline passes is answered DEADLINE_EXCEEDED. Tonic alone says CANCELLED.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::time::{Instant, timeout};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::error::{Reason, Refusal};

/// Tonic's own timer is outside of this one, of the same length, and must not be first.
const AHEAD: Duration = Duration::from_millis(2);

/// When the call's client stops waiting.
#[derive(Clone, Copy, Debug)]
pub struct CallDeadline(pub Instant);

/// The layer.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines;

impl<S> Layer<S> for Deadlines {
    type Service = WithDeadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WithDeadline { inner }
    }
}

/// A service with the layer.
#[derive(Clone, Debug)]
pub struct WithDeadline<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for WithDeadline<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let limit = request.headers().get("grpc-timeout").and_then(|value| parse(value.to_str().ok()?));
        let limit = limit.map(|limit| limit.saturating_sub(AHEAD));
        if let Some(end) = limit.and_then(|limit| Instant::now().checked_add(limit)) {
            request.extensions_mut().insert(CallDeadline(end));
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let Some(limit) = limit else { return answer.await };
            match timeout(limit, answer).await {
                Ok(answer) => answer,
                Err(_) => Ok(Status::from(passed()).into_http()),
            }
        })
    }
}

/// The refusal of a call whose deadline has passed.
pub fn passed() -> Refusal {
    Refusal::new(Reason::CallDeadline, "the call's deadline has passed")
}

/// `grpc-timeout`: up to eight digits and a unit.
fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number.saturating_mul(3_600))),
        "M" => Some(Duration::from_secs(number.saturating_mul(60))),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service that answers when its body says so: never, or at once.
    async fn answer(request: Request<bool>) -> Result<Response<Body>, std::convert::Infallible> {
        let limit = request.extensions().get::<CallDeadline>().copied();
        if *request.body() {
            std::future::pending::<()>().await;
        }
        assert_eq!(limit.is_some(), request.headers().contains_key("grpc-timeout"), "handlers know of it");
        Ok(Response::new(Body::empty()))
    }

    #[tokio::test]
    async fn a_deadline_that_passes_is_deadline_exceeded() {
        let mut service = Deadlines.layer(tower::service_fn(answer));
        let request = |hangs, timeout: &str| {
            let builder = Request::builder().header("grpc-timeout", timeout);
            builder.body(hangs).expect("a request")
        };
        let passed = service.call(request(true, "20m")).await.expect("an answer");
        let status = Status::from_header_map(passed.headers()).expect("a status");
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        for timely in [request(false, "10S"), Request::new(false)] {
            let answered = service.call(timely).await.expect("an answer");
            assert!(Status::from_header_map(answered.headers()).is_none());
        }
    }

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse("2S"), Some(Duration::from_secs(2)));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        for wrong in ["", "S", "2", "2s", "-2S", "123456789S", "2é", "é"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
