//! A well-behaved web service.

use std::{cell::Cell, convert::Infallible, io, net::SocketAddr, process::ExitCode, rc::Rc};

use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::LocalSet, time::interval};

use super::{asked_to_end, say, seconds};

pub(super) async fn run(listen: SocketAddr) -> io::Result<ExitCode> {
    let end = asked_to_end()?;
    let listener = TcpListener::bind(listen).await?;
    say(&format!(
        "hammer in hand, listening on http://{listen}/health"
    ));
    LocalSet::new().run_until(serve(listener, end)).await;
    say("hammer down, farewell");
    Ok(ExitCode::SUCCESS)
}

async fn serve(listener: TcpListener, end: impl Future<Output = ()>) {
    let served = Rc::new(Cell::new(0_u64));
    let mut report = interval(seconds(10));
    report.reset();
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            _ = report.tick() => {
                say(&format!("{} requests answered, no giants in sight", served.get()));
            }
            accepted = listener.accept() => match accepted {
                Ok((connection, _)) => {
                    let served = Rc::clone(&served);
                    let answer = service_fn(move |request| {
                        served.set(served.get() + 1);
                        async move { Ok::<_, Infallible>(answer(&request)) }
                    });
                    // The set ends with `run`, and its tasks with it.
                    tokio::task::spawn_local(
                        http1::Builder::new().serve_connection(TokioIo::new(connection), answer),
                    );
                }
                Err(error) => say(&format!("a guest was turned away: {error}")),
            }
        }
    }
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, body) = match request.uri().path() {
        "/health" => (StatusCode::OK, "thor is well\n"),
        "/" => (StatusCode::OK, "thor lives here; ask /health how he is\n"),
        _ => (StatusCode::NOT_FOUND, "thor knows no such place\n"),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response
}
