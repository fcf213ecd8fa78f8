//! Leadership by a real Lease.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ironlb_k8s::{Candidacy, Clients, Leadership, Term, Timing, clock};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{Server, alone, clients};

/// Short, so that the tests are; by the same rule as the real one.
const TIMING: Timing = Timing {
    lease_duration: Duration::from_secs(12),
    renew_deadline: Duration::from_secs(5),
    retry_period: Duration::from_millis(500),
    request_timeout: Duration::from_secs(4),
};

/// One whose Lease nobody else has for a long time, unless it is given back.
const LONG: Timing =
    Timing { lease_duration: Duration::from_secs(40), renew_deadline: Duration::from_secs(30), ..TIMING };

/// One that asks of itself only after half a minute.
const SLOW: Timing = Timing {
    lease_duration: Duration::from_secs(80),
    renew_deadline: Duration::from_secs(70),
    retry_period: Duration::from_secs(30),
    ..TIMING
};

/// Longer than anything that is waited for here takes.
const NEVER: Duration = Duration::from_secs(120);

struct Replica {
    leadership: Leadership,
    resign: CancellationToken,
    tasks: JoinSet<&'static str>,
}

fn replica(clients: &Clients, lease: &str, identity: &str) -> Replica {
    timed(clients, lease, identity, TIMING)
}

fn timed(clients: &Clients, lease: &str, identity: &str, timing: Timing) -> Replica {
    let mut tasks = JoinSet::new();
    let resign = CancellationToken::new();
    let candidacy =
        Candidacy { namespace: "default".to_owned(), lease: lease.to_owned(), identity: identity.to_owned(), timing };
    let leadership = Leadership::contend(clients.lease.clone(), candidacy, resign.clone(), &mut tasks);
    Replica { leadership, resign, tasks }
}

impl Replica {
    async fn term(&mut self) -> Result<Term> {
        timeout(NEVER, self.leadership.gained()).await?.context("the candidacy has ended")
    }
}

#[tokio::test]
async fn the_lease_passes_on_at_once_when_given_back_and_by_expiry_when_not() -> Result<()> {
    let clients = clients().await?;
    let leases: Api<Lease> = Api::namespaced(clients.ordinary.clone(), "default");
    let mut first = timed(&clients, "lead", "first", LONG);
    let term = first.term().await?;
    assert!(term.was_free, "there was no Lease before");
    let mut second = timed(&clients, "lead", "second", SLOW);
    // Renewed beyond its first time, and still the same term.
    let later = clock::now() + LONG.renew_deadline + Duration::from_secs(1);
    let renewed = async {
        while !term.is_valid(later) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(NEVER, renewed).await?;
    assert!(timeout(Duration::ZERO, second.leadership.gained()).await.is_err());

    first.resign.cancel();
    assert_eq!(first.tasks.join_next().await.context("a task")??, "leadership");
    assert!(!term.is_valid(clock::now()));
    let begun = Instant::now();
    let after = second.term().await?;
    // The watch tells it: a tenth of a period passes at most, and a fifth to spread replicas, 9 s. Of itself it would not have asked within 21 s.
    println!("given back, it passed on after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(18), "{:?}", begun.elapsed());
    assert!(after.was_free, "nothing of the first is under way");
    second.resign.cancel();
    let mut third = replica(&clients, "lead", "third");
    third.term().await?;

    // Killed: nothing is given back.
    let mut fourth = replica(&clients, "lead", "fourth");
    third.tasks.abort_all();
    let term = fourth.term().await?;
    assert!(!term.was_free, "something of the third may be under way");
    let spec = leases.get("lead").await?.spec.context("a spec")?;
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("fourth"), Some(3)));
    assert!(spec.acquire_time.is_some() && spec.renew_time.is_some());
    Ok(())
}

#[tokio::test]
async fn a_leader_whose_lease_somebody_takes_steps_down() -> Result<()> {
    let clients = clients().await?;
    let leases: Api<Lease> = Api::namespaced(clients.ordinary.clone(), "default");
    let mut leader = replica(&clients, "taken", "leader");
    let mut term = leader.term().await?;
    let theirs = json!({"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 5}});
    leases.patch("taken", &PatchParams::default(), &Patch::Merge(theirs)).await?;
    let begun = Instant::now();
    timeout(NEVER, term.ended()).await?;
    // It sees so at its next renewal, before its time is over.
    assert!(begun.elapsed() < TIMING.renew_deadline - TIMING.retry_period, "{:?}", begun.elapsed());
    leases.delete("taken", &DeleteParams::default()).await?;
    let again = leader.term().await?;
    assert!(again.is_valid(clock::now()) && !term.is_valid(clock::now()), "one term is not another");
    Ok(())
}

/// Lets the API server go on, also when the test fails: others use it after this one.
struct GoesOn<'a>(&'a Server);

impl Drop for GoesOn<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.signal("CONT") {
            eprintln!("{error:#}");
        }
    }
}

#[tokio::test]
async fn a_leader_without_api_server_is_deposed_by_the_clock() -> Result<()> {
    let server = alone().await?;
    let clients = server.clients().await?;
    let mut leader = replica(&clients, "cut-off", "leader");
    let mut term = leader.term().await?;
    assert!(term.was_free, "there was no Lease before");
    // It answers nothing, and holds every connection open.
    server.signal("STOP")?;
    let (stopped, begun, goes_on) = (clock::now(), Instant::now(), GoesOn(&server));
    // Asked before the term has ended: by the clock alone.
    assert!(!term.is_valid(stopped + TIMING.renew_deadline), "nobody leads longer than that after the last renewal");
    timeout(NEVER, term.ended()).await?;
    assert!(begun.elapsed() < TIMING.renew_deadline + Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(!term.is_valid(clock::now()));
    drop(goes_on);
    let again = leader.term().await?;
    assert!(!again.was_free, "what was sent before may still be carried out");
    Ok(())
}

#[tokio::test]
async fn a_lease_that_cannot_be_created_is_not_asked_for_without_pause() -> Result<()> {
    let clients = clients().await?;
    let mut tasks = JoinSet::new();
    let resign = CancellationToken::new();
    let candidacy = Candidacy {
        namespace: "no-such-namespace".to_owned(),
        lease: "lead".to_owned(),
        identity: "me".to_owned(),
        timing: TIMING,
    };
    let mut leadership = Leadership::contend(clients.lease.clone(), candidacy, resign.clone(), &mut tasks);
    assert!(timeout(TIMING.retry_period * 3, leadership.gained()).await.is_err());
    resign.cancel();
    assert_eq!(timeout(NEVER, tasks.join_next()).await?.context("a task")??, "leadership");
    Ok(())
}
