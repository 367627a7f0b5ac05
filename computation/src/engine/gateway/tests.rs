use super::*;
use crate::engine::channel::Delivery;
use crate::engine::clock::WallClock;
use crate::engine::streams::Streams;

const CREDIT: Credit = Credit { records_max: 100, bytes_max: 1 << 20 };

fn gateway(router: &Router, stop: &CancellationToken) -> Gateway {
    // So long that only a refusal has anything sent again.
    let patience = Duration::from_secs(3600);
    Gateway::start(router.clone(), Arc::new(WallClock), (CREDIT, patience), 77, stop.clone())
}

/// An interval that begins to run here, as those who send to it see it.
fn interval(router: &Router, sequencer: u64) -> (Party, mpsc::UnboundedReceiver<Mail>) {
    let (mailbox, mail) = mpsc::unbounded_channel();
    let party = Party::of(1, KeyInterval::FULL, Sequencer::new(sequencer).unwrap());
    router.add(KeyInterval::FULL, party, mailbox);
    (party, mail)
}

async fn delivered(mail: &mut mpsc::UnboundedReceiver<Mail>) -> (Party, u64, u64, Delivery) {
    let mail = tokio::time::timeout(Duration::from_secs(60), mail.recv()).await.unwrap().unwrap();
    let Mail::Deliver { from, epoch, number, delivery } = mail else { panic!("{mail:?}") };
    (from, epoch, number, delivery)
}

fn values(delivery: &Delivery) -> Vec<Bytes> {
    delivery.items.iter().map(|item| item.record.value.clone()).collect()
}

#[tokio::test]
async fn i4_a_call_is_told_only_when_its_records_are_acknowledged() {
    let (router, stop) = (Router::new(Streams::default(), None), CancellationToken::new());
    let gateway = gateway(&router, &stop);
    let (me, mut mail) = interval(&router, 5);
    let mut told = gateway.send(1, Key::from("ann"), vec!["a".into(), "b".into()]).await.unwrap();
    let (from, epoch, number, delivery) = delivered(&mut mail).await;
    assert_eq!(values(&delivery), ["a", "b"]);
    assert!(told.try_recv().is_err());
    router.table().send(from, Mail::Acknowledge { from: me, epoch: epoch + 1, number, at_end: false });
    router.table().send(from, Mail::Refuse { from: me, epoch });
    let (from, again, number, delivery) = delivered(&mut mail).await;
    assert_eq!(values(&delivery), ["a", "b"], "I5: it is sent again");
    assert!(again > epoch && told.try_recv().is_err());
    router.table().send(from, Mail::Acknowledge { from: me, epoch: again, number, at_end: false });
    assert_eq!(told.await.unwrap(), Taken::InTime);
    stop.cancel();
}

#[tokio::test]
async fn i9_what_has_no_owner_or_a_new_one_goes_there_in_order() {
    let (router, stop) = (Router::new(Streams::default(), None), CancellationToken::new());
    let gateway = gateway(&router, &stop);
    let first = gateway.send(1, Key::from("ann"), vec!["1".into()]).await.unwrap();
    let (_, mut old) = interval(&router, 5);
    let second = gateway.send(1, Key::from("ann"), vec!["2".into()]).await.unwrap();
    for expected in ["1", "2"] {
        assert_eq!(values(&delivered(&mut old).await.3), [expected]);
    }
    let (me, mut new) = interval(&router, 6);
    for expected in ["1", "2"] {
        let (from, epoch, number, delivery) = delivered(&mut new).await;
        assert_eq!(values(&delivery), [expected]);
        router.table().send(from, Mail::Acknowledge { from: me, epoch, number, at_end: true });
    }
    assert_eq!(first.await.unwrap(), Taken::PerhapsLate);
    assert_eq!(second.await.unwrap(), Taken::PerhapsLate);
    stop.cancel();
}

#[tokio::test]
async fn i11_no_more_is_under_way_than_there_is_room_for_and_the_end_is_told() {
    let (router, stop) = (Router::new(Streams::default(), None), CancellationToken::new());
    let gateway = gateway(&router, &stop);
    let half = Bytes::from(vec![0; UNDER_WAY_BYTES_MAX as usize / 2]);
    let held = gateway.send(1, Key::from("ann"), vec![half.clone()]).await.unwrap();
    let another = gateway.send(1, Key::from("bob"), vec![half.clone()]);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), another).await.is_err(),
        "there is no room for both"
    );
    stop.cancel();
    assert!(held.await.is_err(), "nobody knows whether it is committed");
    let after =
        tokio::time::timeout(Duration::from_secs(60), gateway.send(1, Key::from("ann"), vec![half])).await;
    assert!(after.unwrap().is_err());
}
