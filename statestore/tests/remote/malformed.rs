//! Bytes that mean nothing: to the port, and as messages of calls.

use crate::raw;
use crate::server::{PATIENCE, commit_at_last, connect, memory, put};
use pelton_statestore::StateStore as _;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn dice() -> StdRng {
    let given = std::env::var("PELTON_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("PELTON_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

fn noise(dice: &mut StdRng, bytes_max: usize) -> Vec<u8> {
    let mut noise = vec![0; dice.random_range(0..bytes_max)];
    dice.fill_bytes(&mut noise);
    noise
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_bytes_to_the_port_harm_nobody() {
    let (memory, served) = memory().await;
    let (store, address, mut dice) = (connect(served.address).await, served.address, dice());
    let mut greetings: Vec<Vec<u8>> =
        vec![b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), vec![], PREFACE.to_vec()];
    for round in 0..60 {
        let mut greeting = if round % 2 == 0 { PREFACE.to_vec() } else { vec![] };
        greeting.extend(noise(&mut dice, 2000));
        greetings.push(greeting);
    }
    let shouting = tokio::task::spawn_blocking(move || {
        for greeting in greetings {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            // The server may have closed it already.
            let _ = stream.write_all(&greeting);
            let _ = stream.read(&mut [0; 1000]);
        }
    });
    tokio::time::timeout(PATIENCE, shouting).await.expect("no connection hangs").unwrap();
    store.commit(put("afterwards", "1")).await.unwrap();
    connect(address).await;
    assert_eq!(memory.dump().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_are_none_are_refused_and_the_connection_goes_on() {
    let (memory, served) = memory().await;
    let (store, mut dice) = (connect(served.address).await, dice());
    let channel = raw::channel(served.address);
    for method in ["Describe", "Read", "Scan", "Commit", "Nothing"] {
        for _ in 0..50 {
            let call = async {
                let mut answer = raw::call(&channel, method, noise(&mut dice, 300)).await?;
                answer.message().await
            };
            let answer = tokio::time::timeout(PATIENCE, call).await.expect("every call ends");
            // Hardly any noise is a message of the right incarnation; an empty one is, to nobody's harm.
            assert!(answer.is_err(), "{method}");
        }
    }
    assert_eq!(memory.dump(), []);
    commit_at_last(&store, put("afterwards", "1")).await;
}
