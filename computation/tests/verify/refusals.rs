//! What cannot be compared is refused, with words and before anything has run.

use super::*;
use pelton::verify::Unsettled;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_that_never_ran_or_is_not_done_is_refused() {
    let world = World::new();
    let (verdict, _) = world.verify(Code::default()).await;
    assert!(matches!(verdict, Err(VerifyError::NoLive { .. })), "{verdict:?}");
    let slow = Code { rate: Some(500.0), ..Code::default() };
    let engine =
        Engine::start(world.pipeline(slow), world.store.clone(), EngineOptions::default()).await.unwrap();
    while engine.status().computation("tally").unwrap().totals.records == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (verdict, _) = world.verify(Code::default()).await;
    assert!(matches!(verdict, Err(VerifyError::Unsettled(_))), "{verdict:?}");
    engine.stop().await;
    let (verdict, _) = world.verify(Code::default()).await;
    // Which is found first depends on what was under way when it was stopped.
    match &verdict {
        Err(VerifyError::Unsettled(Unsettled::Timer { computation, .. })) => {
            assert_eq!(computation, "rows.read")
        }
        Err(VerifyError::Unsettled(Unsettled::Unacknowledged { .. })) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graph_that_has_changed_is_refused() {
    let world = World::done(Code::default()).await;
    let (verdict, _) = world.verify(Code { acting: true, ..Code::default() }).await;
    assert!(matches!(verdict, Err(VerifyError::GraphChanged { .. })), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_acts_on_the_outside_does_so_again_only_where_it_is_not_left_out() {
    let acting = Code { acting: true, ..Code::default() };
    let world = World::done(acting).await;
    let (verdict, _) = world.verify(acting).await;
    let Err(VerifyError::ActsOutside { computation }) = &verdict else { panic!("{verdict:?}") };
    assert_eq!(computation, "act");
    let leaving_out = |name: &str| VerifyOptions { leave_out: vec![name.to_owned()], ..options() };
    let (verdict, _) = verify_with(&world, acting, leaving_out("act")).await;
    let verdict = verdict.unwrap();
    assert!(verdict.is_same() && verdict.not_compared.iter().any(|(what, _)| what == "act"), "{verdict}");
    let (verdict, _) = verify_with(&world, acting, leaving_out("nobody")).await;
    assert!(matches!(&verdict, Err(VerifyError::NoSuch { known, .. }) if known.len() > 5), "{verdict:?}");
}

/// Somebody's own pipeline, which happens to have that name.
#[derive(Clone)]
struct Nothing;

impl pelton::Computation for Nothing {
    type Input = u64;

    fn declare(&self, _: &mut pelton::Declaration) {}

    async fn process(
        &mut self,
        _: &mut pelton::Context<'_>,
        _: pelton::Input<u64>,
    ) -> Result<(), pelton::Failure> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_that_is_no_shadow_is_left_alone() {
    let world = World::done(Code::default()).await;
    let other = pelton::Pipeline::builder("tallies.shadow").with(pelton::Step::new("nothing", Nothing));
    run(&world.store, other.build().unwrap()).await;
    let before = world.memory.dump();
    let (verdict, _) = world.verify(Code::default()).await;
    assert!(matches!(verdict, Err(VerifyError::NoShadow { .. })), "{verdict:?}");
    assert!(world.memory.dump() == before, "the store is not as it was");
}
