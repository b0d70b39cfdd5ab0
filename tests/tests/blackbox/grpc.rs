//! The wire, as generic clients see it: codes and reasons, health, reflection, streams.

use futures_util::{StreamExt as _, future::join_all, stream};
use gladsheim_proto::{Client, reason, v1};
use gladsheim_tests::{TestDaemon, service};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb;

/// A generic client's connection.
async fn channel(hall: &TestDaemon) -> Channel {
    let address = format!("unix://{}", hall.socket().display());
    Endpoint::from_shared(address)
        .unwrap()
        .connect()
        .await
        .unwrap()
}

fn by_hand(name: &str) -> String {
    service(name, "svc-obedient", &[]) + "autostart = false\n"
}

fn thor() -> String {
    "thor".to_owned()
}

#[tokio::test]
async fn refusals_have_a_code_and_a_reason() {
    let hall = TestDaemon::start(&by_hand("thor"));
    let client = Client::connect(&hall.socket()).await.unwrap();

    let stop = v1::StopServiceRequest {
        service_name: thor(),
        ..Default::default()
    };
    let idle = client.stop_service(stop).await.unwrap_err();
    assert_eq!(
        (idle.code(), reason::of(&idle)),
        (Code::FailedPrecondition, Some(reason::NOT_RUNNING))
    );

    let start = v1::StartServiceRequest {
        service_name: thor(),
        ..Default::default()
    };
    let started = client
        .start_service(start.clone())
        .await
        .unwrap()
        .status
        .unwrap();
    assert_eq!(started.state, "running");
    let twice = client.start_service(start).await.unwrap_err();
    assert_eq!(
        (twice.code(), reason::of(&twice)),
        (Code::AlreadyExists, Some(reason::ALREADY_RUNNING))
    );

    let hel = v1::GetServiceStatusRequest {
        service_name: "hel".to_owned(),
    };
    let unknown = client.get_service_status(hel).await.unwrap_err();
    assert_eq!(
        (unknown.code(), reason::of(&unknown)),
        (Code::NotFound, Some(reason::NOT_FOUND))
    );

    let dance = v1::SignalServiceRequest {
        service_name: thor(),
        signal: "SIGDANCE".to_owned(),
    };
    let senseless = client.signal_service(dance).await.unwrap_err();
    assert_eq!(senseless.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn the_daemon_says_which_one_it_is() {
    let hall = TestDaemon::start("");
    let client = Client::connect(&hall.socket()).await.unwrap();
    let daemon = client.get_daemon(v1::GetDaemonRequest {}).await.unwrap();
    assert_eq!(daemon.process_id, hall.pid());
    assert_eq!(
        daemon.hall_file,
        hall.hall_file().canonicalize().unwrap().to_str().unwrap()
    );
    assert!(
        ["cgroup", "session"].contains(&daemon.containment.as_str()),
        "{daemon:?}"
    );
}

#[tokio::test]
async fn generic_health_clients_see_the_daemon_and_each_service() {
    let hall = TestDaemon::start(&by_hand("thor"));
    let mut health = HealthClient::new(channel(&hall).await);
    let mut check = async |name: &str| {
        let request = HealthCheckRequest {
            service: name.to_owned(),
        };
        health
            .check(request)
            .await
            .map(|answer| answer.into_inner().status())
    };
    assert_eq!(check("").await.unwrap(), ServingStatus::Serving);
    assert_eq!(
        check("gladsheim.v1.GladsheimService").await.unwrap(),
        ServingStatus::Serving
    );
    assert_eq!(check("thor").await.unwrap(), ServingStatus::NotServing);
    assert_eq!(check("hel").await.unwrap_err().code(), Code::NotFound);

    hall.cli(["start", "thor"]).expect_code(0);
    hall.wait_for_status("thor", "healthy", |status| status["health"] == "healthy");
    assert_eq!(check("thor").await.unwrap(), ServingStatus::Serving);
}

#[tokio::test]
async fn a_health_watch_tells_each_change_and_ends_with_the_daemon() {
    let hall = TestDaemon::start(&by_hand("thor"));
    // By the wire, since running a command would block the thread that drives this client.
    let client = Client::connect(&hall.socket()).await.unwrap();
    let mut health = HealthClient::new(channel(&hall).await);
    let request = HealthCheckRequest { service: thor() };
    let mut statuses = health.watch(request).await.unwrap().into_inner();
    let mut next = async || Some(statuses.next().await?.unwrap().status());
    assert_eq!(next().await, Some(ServingStatus::NotServing));
    let start = v1::StartServiceRequest {
        service_name: thor(),
        ..Default::default()
    };
    client.start_service(start).await.unwrap();
    assert_eq!(next().await, Some(ServingStatus::Serving));
    client.shutdown(v1::ShutdownRequest {}).await.unwrap();
    assert_eq!(next().await, Some(ServingStatus::NotServing));
    assert_eq!(next().await, None);
}

#[tokio::test]
async fn reflection_names_all_services_in_both_versions() {
    let hall = TestDaemon::start("");
    let channel = channel(&hall).await;
    let wanted = ["gladsheim.v1.GladsheimService", "grpc.health.v1.Health"];

    let request = pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            pb::v1::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    };
    let mut client = pb::v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let answers = client
        .server_reflection_info(stream::iter([request]))
        .await
        .unwrap();
    let answer = format!("{:?}", answers.into_inner().next().await.unwrap().unwrap());
    assert!(wanted.iter().all(|name| answer.contains(name)), "{answer}");

    let request = pb::v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            pb::v1alpha::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    };
    let mut client = pb::v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let answers = client
        .server_reflection_info(stream::iter([request]))
        .await
        .unwrap();
    let answer = format!("{:?}", answers.into_inner().next().await.unwrap().unwrap());
    assert!(wanted.iter().all(|name| answer.contains(name)), "{answer}");
}

#[tokio::test]
async fn health_of_a_service_is_streamed_at_once() {
    let hall = TestDaemon::start(&service("thor", "svc-obedient", &[]));
    hall.wait_for_status("thor", "healthy", |status| status["health"] == "healthy");
    let client = Client::connect(&hall.socket()).await.unwrap();
    let request = v1::WatchHealthRequest {
        service_name: thor(),
    };
    let mut stream = client.watch_health(request).await.unwrap();
    let present = stream.next().await.unwrap().unwrap();
    assert_eq!(
        (present.status.as_str(), present.check_strategy.as_str()),
        ("healthy", "process")
    );
}

#[tokio::test]
async fn an_event_stream_of_one_service_leaves_out_the_others() {
    let hall = TestDaemon::start(&(by_hand("thor") + &by_hand("freki")));
    hall.cli(["start", "thor", "freki"]).expect_code(0);
    let client = Client::connect(&hall.socket()).await.unwrap();
    let request = v1::WatchEventsRequest {
        service_name: thor(),
        ..Default::default()
    };
    let events: Vec<_> = client
        .watch_events(request)
        .await
        .unwrap()
        .map(Result::unwrap)
        .collect()
        .await;
    assert!(
        events.iter().any(|event| event.kind == "service.started"),
        "{events:#?}"
    );
    assert!(
        events.iter().all(|event| event.service_name != "freki"),
        "{events:#?}"
    );
}

#[tokio::test]
async fn many_callers_at_once_are_all_answered() {
    let hall = TestDaemon::start(&by_hand("thor"));
    let client = Client::connect(&hall.socket()).await.unwrap();
    let start = v1::StartServiceRequest {
        service_name: thor(),
        ..Default::default()
    };
    let starts = (0..20).map(|_| client.start_service(start.clone()));
    let answers = join_all(starts).await;
    let started = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(
        started, 1,
        "one start wins, all others are told: {answers:#?}"
    );
    assert!(
        answers
            .iter()
            .flat_map(|answer| answer.as_ref().err())
            .all(|refusal| refusal.code() == Code::AlreadyExists),
        "{answers:#?}"
    );
}
