//! Ring files that change under a running matchmaker, on a real file system and in real time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use matchmaker::{Absence, Host, LookupError, MAX_RING, MatchMaker, RingError, RingFile, Status};
use tempfile::TempDir;

/// Within which a change is to be in effect.
const PROMISED: Duration = Duration::from_secs(2);

struct Site {
    path: PathBuf,
    file: Arc<RingFile>,
    matchmaker: MatchMaker,
    _dir: TempDir,
}

impl Site {
    fn new(ring: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring.json");
        fs::write(&path, ring).unwrap();
        let file = Arc::new(RingFile::open(&path).unwrap());
        Self { matchmaker: MatchMaker::new(file.clone()), file, path, _dir: dir }
    }

    /// As editors and careful writers do.
    fn rename_over(&self, ring: &str) {
        let new = self.path.with_extension("new");
        fs::write(&new, ring).unwrap();
        fs::rename(new, &self.path).unwrap();
    }

    async fn host_of(&self, topic: &str) -> Result<Host, LookupError> {
        let destinations = self.matchmaker.resolve(&topic.parse().unwrap()).await?;
        Ok(destinations[0].host.clone())
    }

    async fn serves(&self, topic: &str, host: &str) -> bool {
        self.host_of(topic).await.is_ok_and(|found| found.as_str() == host)
    }

    /// Waits until the topic goes to the host and the ring is taken for current.
    async fn comes_to_serve(&self, topic: &str, host: &str) {
        let deadline = Instant::now() + PROMISED;
        while !self.serves(topic, host).await {
            assert!(Instant::now() < deadline, "no {host} for {topic}: {:?}", self.file);
            tokio::time::sleep(STEP).await;
        }
        assert!(matches!(self.matchmaker.status(), Status::Current));
    }

    /// Waits until the ring is stale for a reason that says this.
    async fn comes_to_complain(&self, of: &str) {
        let deadline = Instant::now() + PROMISED;
        loop {
            if let Status::Stale { cause, .. } = self.matchmaker.status()
                && cause.to_string().contains(of)
            {
                return;
            }
            assert!(Instant::now() < deadline, "no complaint of {of:?}: {:?}", self.file);
            tokio::time::sleep(STEP).await;
        }
    }
}

const STEP: Duration = Duration::from_millis(20);

#[tokio::test]
async fn whatever_happens_to_the_file_the_last_good_ring_stays() {
    let site = Site::new(r#"{"t": ["h1"]}"#);
    assert!(site.serves("t", "h1").await);

    fs::write(&site.path, "\u{7}garbage\n").unwrap();
    site.comes_to_complain(":1:1: '\\u{7}' where the opening { should stand").await;
    assert!(site.serves("t", "h1").await);

    fs::write(&site.path, b"{\n\"t\": [\"\xff\"]}").unwrap();
    site.comes_to_complain(":2: the text is not UTF-8").await;
    assert!(site.serves("t", "h1").await);

    fs::write(&site.path, "{\n  \"t\": [\"h2\",\n").unwrap();
    site.comes_to_complain(":3:1: the file ends where a host in quotes should stand").await;
    assert!(site.serves("t", "h1").await);

    fs::write(&site.path, "").unwrap();
    site.comes_to_complain(":1:1: the file is empty").await;
    assert!(site.serves("t", "h1").await);

    site.rename_over(r#"{"t": ["h3"]}"#);
    site.comes_to_serve("t", "h3").await;

    fs::remove_file(&site.path).unwrap();
    site.comes_to_complain("cannot read ring").await;
    assert!(site.serves("t", "h3").await);

    fs::write(&site.path, r#"{"t": ["h4"]}"#).unwrap();
    site.comes_to_serve("t", "h4").await;

    fs::remove_file(&site.path).unwrap();
    fs::create_dir(&site.path).unwrap();
    site.comes_to_complain("is not a regular file").await;
    assert!(site.serves("t", "h4").await);
}

/// An empty list is no host, which the originals answer with StopIteration; an edit takes effect within the promised time.
#[tokio::test]
async fn b34_an_empty_list_is_no_host_and_an_edit_of_it_takes_effect() {
    let site = Site::new(r#"{"t": []}"#);
    let error = site.host_of("t").await.unwrap_err();
    assert!(matches!(error, LookupError::NoHost { absence: Absence::NoHosts, .. }), "{error}");
    fs::write(&site.path, r#"{"t": ["h1"]}"#).unwrap();
    site.comes_to_serve("t", "h1").await;
}

/// An empty object is a ring like any other: somebody wrote it, whole.
#[tokio::test]
async fn an_empty_object_empties_the_ring() {
    let site = Site::new(r#"{"t": ["h1"]}"#);
    fs::write(&site.path, "{}").unwrap();
    let deadline = Instant::now() + PROMISED;
    let error = loop {
        match site.host_of("t").await {
            Err(error) => break error,
            Ok(_) => assert!(Instant::now() < deadline, "{:?}", site.file),
        }
        tokio::time::sleep(STEP).await;
    };
    let LookupError::NoHost { absence, stale, .. } = error else {
        panic!("{error}");
    };
    assert!(stale.is_none());
    assert_eq!(absence, Absence::UnknownTopic { topics: 0, nearest: None });
    fs::write(&site.path, r#"{"t": ["h2"]}"#).unwrap();
    site.comes_to_serve("t", "h2").await;
}

#[tokio::test]
async fn a_lookup_that_fails_says_that_the_ring_is_stale_and_why() {
    let site = Site::new(r#"{"cinder-scheduler": ["h1"]}"#);
    fs::write(&site.path, r#"{"cinder-scheduler": ["h1"], scheduler: ["h1"]}"#).unwrap();
    site.comes_to_complain("where").await;
    let error = site.host_of("scheduler").await.unwrap_err();
    let path = site.path.display();
    assert_eq!(
        error.to_string(),
        format!(
            "no host for topic \"scheduler\" in ring {path} (1 topic; nearest: \
             \"cinder-scheduler\"); this is its last good state"
        )
    );
    let cause = error.source().unwrap().to_string();
    assert!(cause.starts_with(&format!("{path}:1:30: 's' where")), "{cause}");
}

#[tokio::test]
async fn a_reload_leaves_the_turns_of_other_topics_alone() {
    let site = Site::new(r#"{"t": ["h1", "h2", "h3"], "u": ["h1"]}"#);
    assert!(site.serves("t", "h1").await);
    site.rename_over(r#"{"t": ["h1", "h2", "h3"], "u": ["h2"]}"#);
    site.comes_to_serve("u", "h2").await;
    assert!(site.serves("t", "h2").await);
    assert!(site.serves("t", "h3").await);
    assert!(site.serves("t", "h1").await);
}

/// Neither size nor time of modification differ: copying programs set the time.
#[tokio::test]
async fn a_change_that_hides_itself_is_seen() {
    let site = Site::new(r#"{"t": ["h1"]}"#);
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    File::options().write(true).open(&site.path).unwrap().set_modified(long_ago).unwrap();
    tokio::time::sleep(PROMISED).await;
    assert!(site.serves("t", "h1").await);

    fs::write(&site.path, r#"{"t": ["h2"]}"#).unwrap();
    File::options().write(true).open(&site.path).unwrap().set_modified(long_ago).unwrap();
    site.comes_to_serve("t", "h2").await;
}

/// A thread that sleeps keeps the runtime, and so the task, from running.
#[cfg(feature = "tokio")]
#[tokio::test(flavor = "current_thread")]
async fn a_task_can_look_in_place_of_lookups() {
    let site = Site::new(r#"{"t": ["h1"]}"#);
    let watch = site.file.watch();
    tokio::time::sleep(STEP).await;

    fs::write(&site.path, r#"{"t": ["h2"]}"#).unwrap();
    thread::sleep(PROMISED);
    assert!(site.serves("t", "h1").await);
    site.comes_to_serve("t", "h2").await;

    drop(watch);
    tokio::time::sleep(STEP).await;
    fs::write(&site.path, r#"{"t": ["h3"]}"#).unwrap();
    thread::sleep(PROMISED);
    assert!(site.serves("t", "h3").await);
}

/// While a writer swaps good and bad files as fast as it can, every lookup gets a good ring's host.
#[tokio::test]
async fn lookups_meet_whole_rings_only() {
    let site = Arc::new(Site::new(r#"{"t": ["h0"]}"#));
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (site, done) = (site.clone(), done.clone());
        thread::spawn(move || {
            for number in 0.. {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                fs::write(&site.path, format!("{{\"t\": [\"h{number}\"")).unwrap();
                thread::sleep(Duration::from_millis(1));
                site.rename_over(&format!("{{\"t\": [\"h{number}\"]}}"));
            }
        })
    };
    let end = Instant::now() + 2 * PROMISED;
    while Instant::now() < end {
        let host = site.host_of("t").await.unwrap();
        assert!(host.as_str().starts_with('h'), "{host}");
        thread::sleep(Duration::from_millis(1));
    }
    done.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    fs::write(&site.path, r#"{"t": ["last"]}"#).unwrap();
    site.comes_to_serve("t", "last").await;
}

#[test]
fn what_cannot_be_a_ring_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |path: &Path| RingFile::open(path).unwrap_err();

    let missing = refused(&dir.path().join("missing"));
    assert!(missing.to_string().ends_with("check `ringfile` in [matchmaker_ring] and who may read it"));
    assert!(missing.source().is_some());

    assert!(matches!(refused(dir.path()), RingError::NotAFile { .. }));
    // Devices and pipes never end, or never begin.
    assert!(matches!(refused("/dev/zero".as_ref()), RingError::NotAFile { .. }));

    let large = dir.path().join("large");
    File::create(&large).unwrap().set_len(MAX_RING + 1).unwrap();
    assert!(matches!(refused(&large), RingError::TooLarge { .. }));
    File::create(&large).unwrap().set_len(MAX_RING).unwrap();
    assert!(matches!(refused(&large), RingError::Parse { .. }));
}
