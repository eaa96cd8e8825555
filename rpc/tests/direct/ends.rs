//! Ends in order, and in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oslo_rpc::transport::RouteError;
use oslo_rpc::{CallError, CastError, Client, Context, Endpoint, RemoteError, Server};
use tokio::time::sleep;

use crate::site::{Echo, Site, echo, methods, topic};

#[tokio::test]
async fn b07_casts_followed_by_an_orderly_end_all_arrive() {
    let site = Site::default();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let endpoint = Endpoint::new().method("note", move |_: Context, _: Echo| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, RemoteError>(()) }
    });
    let _server = Server::builder("compute").endpoint(endpoint).start(&site.transport().await).await.unwrap();
    let transport = site.transport().await;
    let client = Client::new(&transport);
    for n in 0..1000 {
        client.cast(&topic(), "note", &echo(n)).await.unwrap();
    }
    let closed = transport.close(Duration::from_secs(5)).await;
    assert_eq!(closed.dropped, 0);
    let end = Instant::now() + Duration::from_secs(5);
    while count.load(Ordering::Relaxed) < 1000 && Instant::now() < end {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(count.load(Ordering::Relaxed), 1000);
    assert!(matches!(client.call::<()>(&topic(), "echo", &()).await, Err(CallError::Route(RouteError::Closed))));
    assert!(matches!(client.cast(&topic(), "note", &()).await, Err(CastError::Route(RouteError::Closed))));
}

#[tokio::test]
async fn b38_closing_ends_in_time_whatever_the_peer_does_and_says_what_was_dropped() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let unread = zmtp::Pull::new(zmtp::Options::new().recv_mark(zmtp::Mark::messages(1)));
    let unread = unread.bind("tcp://127.0.0.1:*").await.unwrap();
    for (peer, address) in [
        ("is not there", "127.0.0.1:1"),
        ("accepts and says nothing", &silent.local_addr().unwrap().to_string()),
        ("reads no more", unread.address()),
    ] {
        let transport = Site::default().transport().await;
        // With a server at work, which an original would wait for.
        let _server = Server::builder("compute").endpoint(methods()).start(&transport).await.unwrap();
        let client = Client::new(&transport);
        for _ in 0..40 {
            client.cast(&topic().server(address), "note", &echo("x".repeat(1_000_000))).await.unwrap();
        }
        let begun = Instant::now();
        let closed = transport.close(Duration::from_millis(300)).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{peer}: {:?}", begun.elapsed());
        assert!(closed.dropped > 0 && closed.dropped <= 40, "{peer}: {closed:?}");
        if peer != "reads no more" {
            assert_eq!((closed.sent, closed.dropped), (0, 40), "{peer}");
        }
    }
    let idle = Site::default().transport().await;
    assert_eq!(idle.close(Duration::from_secs(60)).await.dropped, 0);
}

#[tokio::test]
async fn b37_b40_a_pool_of_one_serves_three_topics_and_a_stop_lets_it_finish() {
    let site = Site::default();
    let transport = site.transport().await;
    let server = Server::builder("compute")
        .server("0f3c-uuid")
        .concurrency(1)
        .endpoint(methods())
        .start(&transport)
        .await
        .unwrap();
    let client = Client::new(&site.transport().await);
    // A server whose name is no host is found by its announcement (B37).
    for target in [topic(), topic().server("0f3c-uuid"), topic().server(transport.settings().host.as_str())] {
        assert_eq!(client.call::<i64>(&target, "echo", &echo(7)).await.unwrap(), 7);
    }
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.call::<String>(&topic(), "slow", &()).await }
    });
    sleep(Duration::from_millis(100)).await;
    let stopped = server.stop(Duration::from_secs(2)).await;
    assert_eq!((stopped.finished, stopped.aborted), (1, 0));
    assert_eq!(slow.await.unwrap().unwrap(), "done");
    assert!(client.call::<i64>(&topic(), "echo", &echo(7)).await.unwrap_err().is_no_host());
}
