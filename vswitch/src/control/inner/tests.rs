use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use super::retry_while_busy;
use crate::control::ControlError;
use crate::control::model::tests::{attach, key, model, reserve, spec};
use crate::control::model::{AttachSpec, Lease, Model};

/// Ports a and b are detached while an attach waits.
struct Scene {
    model: Mutex<Model>,
    detached: Notify,
    old: Lease,
}

impl Scene {
    fn new() -> Self {
        let mut model = model();
        let old = attach(&mut model, "a");
        attach(&mut model, "b");
        for name in ["a", "b"] {
            model.begin_detach(&key(name, "br0")).unwrap();
        }
        Self { model: Mutex::new(model), detached: Notify::new(), old }
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }

    async fn attach(&self, within: Duration) -> Result<Lease, ControlError> {
        let (ipv4, ipv6) = (self.old.ipv4, self.old.ipv6);
        let spec = AttachSpec { mac: Some(self.old.mac), ipv4, ipv6, ..spec("a") };
        retry_while_busy(&self.detached, within, || reserve(&mut self.model(), &spec)).await
    }

    async fn forget(&self, name: &str) {
        tokio::task::yield_now().await;
        self.model().remove(&key(name, "br0"), Duration::ZERO);
        self.detached.notify_waiters();
    }
}

#[tokio::test]
async fn an_attach_waits_for_the_detach_of_its_name_and_gets_what_that_had() {
    let scene = Scene::new();
    let gone = async {
        scene.forget("b").await;
        scene.forget("a").await;
    };
    let (lease, ()) = tokio::join!(scene.attach(Duration::from_secs(5)), gone);
    let lease = lease.unwrap();
    assert_eq!(
        (lease.ipv4, lease.ipv6, lease.mac),
        (scene.old.ipv4, scene.old.ipv6, scene.old.mac)
    );
    assert_ne!(lease.slot, scene.old.slot);
}

#[tokio::test]
async fn it_does_not_wait_for_ever() {
    let scene = Scene::new();
    let error = scene.attach(Duration::from_millis(10)).await.unwrap_err();
    assert_eq!(error.to_string(), "a is being detached");
}

#[tokio::test]
async fn other_refusals_come_at_once() {
    let scene = Scene::new();
    let taken = spec("br0");
    let attempt = || reserve(&mut scene.model(), &taken);
    let error = retry_while_busy(&scene.detached, Duration::MAX / 1000, attempt).await.unwrap_err();
    assert!(matches!(error, ControlError::NameOfBridge(_)), "{error}");
}

#[tokio::test]
async fn a_detach_waits_for_the_end_of_the_container_and_of_another_detach() {
    let scene = Scene::new();
    let keys = [key("a", "br0"), key("b", "br0")];
    let mut has_waited = false;
    let attempt = || {
        let begun = scene.model().begin_detach_all(&keys, has_waited);
        has_waited = true;
        begun
    };
    let within = Duration::from_secs(5);
    let changes = async {
        // b is gone; a waits for its container.
        scene.forget("b").await;
        tokio::task::yield_now().await;
        scene.model().wait_for_container(&keys[0]);
        scene.detached.notify_waiters();
    };
    let (begun, ()) = tokio::join!(retry_while_busy(&scene.detached, within, attempt), changes);
    assert_eq!(begun.unwrap(), std::slice::from_ref(&scene.old));
    let unknown = scene.model().begin_detach_all(&[key("c", "br0")], false).unwrap_err();
    assert!(matches!(unknown, ControlError::UnknownPort(_)), "{unknown}");
}

#[test]
fn endpoints_that_are_detached_together_begin_together() {
    let scene = Scene::new();
    let free = attach(&mut scene.model(), "c").key();
    let busy = scene.model().begin_detach_all(&[free.clone(), key("a", "br0")], false);
    assert!(matches!(busy, Err(ControlError::Busy(..))));
    assert!(scene.model().active_endpoint(&free).is_ok(), "nothing has changed");
}
