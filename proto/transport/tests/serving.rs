//! What a server does beside its routes: bounds, health, reflection, the end.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test that called it")]

mod common;

use common::{PATIENCE, Running, all, call, logged};
use pelton_proto::injector::injector_server::InjectorServer;
use pelton_transport::{Limits, ListenError, ListenOptions, Security, Server, connect};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

#[tokio::test]
async fn an_address_that_others_reach_is_refused_without_tls_unless_it_is_said() {
    for address in ["0.0.0.0:0", "[::]:0", "[::ffff:0.0.0.0]:0"] {
        let options = ListenOptions::new(address.parse().unwrap());
        let refused = Server::bind(&options).await.unwrap_err();
        assert!(matches!(refused, ListenError::Exposed { .. }), "{refused}");
        assert!(refused.to_string().contains("can be reached from other machines"), "{refused}");
        let secure = ListenOptions { security: common::Ca::new("one").security(), ..options.clone() };
        Server::bind(&secure).await.unwrap();
        Server::bind(&ListenOptions { exposed_without_tls: true, ..options }).await.unwrap();
    }
    let taken = Running::start(&Security::none(), Limits::default()).await;
    let refused = Server::bind(&ListenOptions::new(taken.address)).await.unwrap_err();
    assert!(refused.to_string().contains(&taken.address.to_string()), "{refused}");
}

#[tokio::test]
async fn ipv6_is_served() {
    let server = Running::start_at("[::1]:0", &Security::none(), Limits::default()).await;
    call(&server.address.to_string(), &Security::none()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_never_speaks_is_closed_and_holds_up_nobody() {
    let limits = Limits { greeting_ms_max: 300, ..Limits::default() };
    let (plain, tls) = (Security::none(), common::Ca::new("one").security());
    for security in [&plain, &tls] {
        let server = Running::start(security, limits).await;
        let mut silent = TcpStream::connect(server.address).await.unwrap();
        let mut halting = TcpStream::connect(server.address).await.unwrap();
        halting
            .write_all(if security.is_mutual_tls() { &[0x16, 3, 1] } else { b"PRI * HTTP" })
            .await
            .unwrap();
        call(&server.address.to_string(), security).await.unwrap();
        for client in [&mut silent, &mut halting] {
            let peer = client.local_addr().unwrap().to_string();
            let end = async { while client.read(&mut [0; 64]).await.is_ok_and(|bytes| bytes > 0) {} };
            timeout(PATIENCE, end).await.expect("the server closes it");
            logged(&["WARN", "whose client does not speak", &peer]).await;
        }
        call(&server.address.to_string(), security).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_has_a_place_once_another_leaves() {
    let limits = Limits { connections_max: 2, ..Limits::default() };
    let server = Running::start(&Security::none(), limits).await;
    let address = server.address.to_string();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = HealthClient::new(connect(&address, &Security::none()).unwrap());
        client.check(HealthCheckRequest::default()).await.unwrap();
        clients.push(client);
    }
    let refused = call(&address, &Security::none()).await.unwrap_err();
    assert!(all(&refused).contains("closed") || all(&refused).contains("reset"), "{}", all(&refused));
    logged(&["WARN", "there are as many as there may be", "connections_max=2"]).await;
    for client in &mut clients {
        client.check(HealthCheckRequest::default()).await.unwrap();
    }
    clients.pop();
    let comes_in = async {
        while call(&address, &Security::none()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, comes_in).await.expect("its place is free");
}

#[tokio::test]
async fn i11_a_client_with_as_many_connections_as_it_may_have_leaves_room_for_others() {
    let ca = common::Ca::new("one");
    let limits = Limits { connections_per_client_max: 2, ..Limits::default() };
    let server = Running::start(&ca.security(), limits).await;
    let address = server.address.to_string();
    let (ann, bob) = (ca.security_of("ann"), ca.security_of("bob"));
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = HealthClient::new(connect(&address, &ann).unwrap());
        client.check(HealthCheckRequest::default()).await.unwrap();
        clients.push(client);
    }
    call(&address, &ann).await.unwrap_err();
    logged(&["WARN", "its client has as many as it may have", "CN=ann"]).await;
    for _ in 0..3 {
        call(&address, &bob).await.unwrap();
    }
    clients.pop();
    let comes_in = async {
        while call(&address, &ann).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, comes_in).await.expect("its place is free");
}

#[tokio::test]
async fn a_stream_too_many_waits_at_its_client_and_goes_on_once_another_ends() {
    let limits = Limits { streams_per_connection_max: 2, ..Limits::default() };
    let server = Running::start(&Security::none(), limits).await;
    let client = HealthClient::new(connect(&server.address.to_string(), &Security::none()).unwrap());
    let mut watching = Vec::new();
    for _ in 0..2 {
        watching.push(client.clone().watch(HealthCheckRequest::default()).await.unwrap().into_inner());
    }
    let mut third = client.clone();
    let check = third.check(HealthCheckRequest::default());
    tokio::pin!(check);
    // It cannot end, however long it is given: both streams are held here.
    assert!(timeout(Duration::from_millis(300), &mut check).await.is_err());
    watching.pop();
    timeout(PATIENCE, check).await.expect("a stream is free").unwrap();
}

#[tokio::test]
async fn headers_over_the_bound_fail_their_call_only() {
    let server = Running::start(&Security::none(), Limits::default()).await;
    let mut client = HealthClient::new(connect(&server.address.to_string(), &Security::none()).unwrap());
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    request.metadata_mut().insert("much", "x".repeat(64 << 10).parse().unwrap());
    timeout(PATIENCE, client.check(request)).await.unwrap().unwrap_err();
    timeout(PATIENCE, client.check(HealthCheckRequest::default())).await.unwrap().unwrap();
}

#[tokio::test]
async fn health_and_reflection_answer_for_what_is_named() {
    common::logs();
    let options = ListenOptions::new("127.0.0.1:0".parse().unwrap());
    let server = Server::bind(&options).await.unwrap().naming::<InjectorServer<()>>();
    let server = Running::serve(server);
    let channel = connect(&server.address.to_string(), &Security::none()).unwrap();
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "pelton.injector.v1.Injector"] {
        let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap();
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    }
    let unknown = HealthCheckRequest { service: "pelton.worker.v1.Worker".to_owned() };
    assert_eq!(health.check(unknown).await.unwrap_err().code(), tonic::Code::NotFound);
    assert_eq!(listed(channel.clone()).await, ["pelton.injector.v1.Injector"]);
    assert_eq!(listed_v1alpha(channel).await, ["pelton.injector.v1.Injector"]);

    let server = Running::start(&Security::none(), Limits::default()).await;
    let all = listed(connect(&server.address.to_string(), &Security::none()).unwrap()).await;
    for service in
        ["pelton.injector.v1.Injector", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"]
    {
        assert!(all.iter().any(|name| name == service), "{service} in {all:?}");
    }
}

async fn listed(channel: tonic::transport::Channel) -> Vec<String> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked =
        ServerReflectionClient::new(channel).server_reflection_info(tokio_stream::iter([request])).await;
    let answer = asked.unwrap().into_inner().message().await.unwrap().unwrap();
    match answer.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            list.service.into_iter().map(|service| service.name).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// The same by the older name, which stock clients use.
async fn listed_v1alpha(channel: tonic::transport::Channel) -> Vec<String> {
    use tonic_reflection::pb::v1alpha as old;
    let asked = old::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = old::ServerReflectionRequest { host: String::new(), message_request: Some(asked) };
    let mut client = old::server_reflection_client::ServerReflectionClient::new(channel);
    let asked = client.server_reflection_info(tokio_stream::iter([request])).await;
    let answer = asked.unwrap().into_inner().message().await.unwrap().unwrap();
    match answer.message_response {
        Some(old::server_reflection_response::MessageResponse::ListServicesResponse(list)) => {
            list.service.into_iter().map(|service| service.name).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn connections_on_which_no_call_is_under_way_do_not_hold_up_the_end() {
    let (plain, tls) = (Security::none(), common::Ca::new("one").security());
    // Longer than the test is given: nothing is cut.
    let limits = Limits { drain_ms_max: 3_600_000, greeting_ms_max: 3_600_000, ..Limits::default() };
    for security in [&plain, &tls] {
        let server = Running::start(security, limits).await;
        let address = server.address.to_string();
        let mut used = HealthClient::new(connect(&address, security).unwrap());
        used.check(HealthCheckRequest::default()).await.unwrap();
        let silent = TcpStream::connect(server.address).await.unwrap();
        let mut halting = TcpStream::connect(server.address).await.unwrap();
        halting
            .write_all(if security.is_mutual_tls() { &[0x16, 3, 1] } else { b"PRI * HTTP" })
            .await
            .unwrap();
        // It has greeted, and hangs: it will answer nothing.
        let mut hanging = TcpStream::connect(server.address).await.unwrap();
        if !security.is_mutual_tls() {
            let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            hanging.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
            hanging.write_all(&settings).await.unwrap();
        }
        // The server has taken all three by the time it answers this.
        call(&address, security).await.unwrap();
        server.stop.cancel();
        server.ended().await;
        drop((silent, halting, hanging));
    }
}

#[tokio::test]
async fn a_server_that_stops_says_so_to_those_who_watch_and_ends() {
    let server = Running::start(&Security::none(), Limits::default()).await;
    let mut client = HealthClient::new(connect(&server.address.to_string(), &Security::none()).unwrap());
    let mut watch = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    server.stop.cancel();
    let told = timeout(PATIENCE, watch.message()).await.unwrap().unwrap().unwrap();
    assert_eq!(told.status(), ServingStatus::NotServing);
    server.ended().await;
}

#[tokio::test]
async fn what_goes_on_after_the_stop_is_cut_when_its_time_is_over() {
    let limits = Limits { drain_ms_max: 200, ..Limits::default() };
    let server = Running::start(&Security::none(), limits).await;
    let channel = connect(&server.address.to_string(), &Security::none()).unwrap();
    // A call whose client never ends its half.
    let asked = ServerReflectionClient::new(channel).server_reflection_info(tokio_stream::pending()).await;
    let mut answers = asked.unwrap().into_inner();
    let stop = server.stop.clone();
    stop.cancel();
    server.ended().await;
    timeout(PATIENCE, answers.message()).await.expect("its connection is cut").unwrap_err();
}
