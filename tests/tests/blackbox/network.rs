//! The daemon on the network: only for callers with a certificate that its hall file believes.

use std::{fs, process::Command, time::Duration};

use gladsheim_tests::{TestDaemon, bin, free_port, service};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Somebody who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(parameters, key);
        Self { issuer, pem }
    }

    /// Writes `NAME.pem` and `NAME.key` for a holder of this common name, reachable on the loopback.
    fn certify(&self, hall: &TestDaemon, name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        fs::write(hall.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(hall.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// A hall on the network, its files made by `authority`; the certificate `reader` may look, `writer` may act.
fn hall(authority: &Authority) -> (TestDaemon, String) {
    let mut hall = TestDaemon::prepare("");
    authority.certify(&hall, "hall");
    for name in ["reader", "writer", "nobody"] {
        authority.certify(&hall, name);
    }
    fs::write(hall.path("ca.pem"), &authority.pem).unwrap();
    let address = format!("localhost:{}", free_port());
    let port = address.split_once(':').unwrap().1;
    hall.write_hall(&format!(
        r#"
        [listen]
        tcp = "127.0.0.1:{port}"
        certificate = "hall.pem"
        key = "hall.key"
        client_ca = "ca.pem"
        [access]
        read = ["cert:reader"]
        control = ["cert:writer"]
        {}"#,
        service("thor", "svc-obedient", &[])
    ));
    hall.spawn();
    hall.wait_for_state("thor", "running");
    (hall, address)
}

/// A command for the daemon at `address` by the holder of a certificate: its code, and what it complained of.
#[track_caller]
fn ask(hall: &TestDaemon, address: &str, who: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(bin("gladsheim-under-test"));
    for variable in ["GLADSHEIM_HALL", "GLADSHEIM_SOCKET"] {
        command.env_remove(variable);
    }
    command
        .args(["--address", address, "--tls-ca"])
        .arg(hall.path("ca.pem"));
    command
        .arg("--tls-cert")
        .arg(hall.path(&format!("{who}.pem")));
    command
        .arg("--tls-key")
        .arg(hall.path(&format!("{who}.key")));
    let output = command.args(arguments).output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_certificate_may_do_what_the_hall_file_says() {
    let (hall, address) = hall(&Authority::new());
    assert_eq!(
        ask(&hall, &address, "reader", &["status", "thor"]).0,
        Some(0)
    );
    assert_eq!(ask(&hall, &address, "reader", &["stop", "thor"]).0, Some(6));
    assert_eq!(
        ask(&hall, &address, "nobody", &["status", "thor"]).0,
        Some(6)
    );
    assert_eq!(hall.status("thor")["state"], "running");
    assert_eq!(ask(&hall, &address, "writer", &["stop", "thor"]).0, Some(0));
    assert_eq!(hall.status("thor")["state"], "stopped");
    assert!(
        hall.log().contains("nobody"),
        "refused calls are logged: {}",
        hall.log()
    );
}

#[test]
fn a_stranger_s_certificate_and_none_at_all_are_turned_away() {
    let authority = Authority::new();
    let (hall, address) = hall(&authority);
    Authority::new().certify(&hall, "writer");
    let (code, message) = ask(&hall, &address, "writer", &["stop", "thor"]);
    assert_eq!(code, Some(6), "{message}");

    let mut bare = Command::new(bin("gladsheim-under-test"));
    let bare = bare
        .args(["--address", &address, "--tls-ca"])
        .arg(hall.path("ca.pem"))
        .arg("status");
    let bare = bare.env_remove("GLADSHEIM_TLS_CERT").output().unwrap();
    let complaint = String::from_utf8_lossy(&bare.stderr);
    assert_eq!(bare.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains("--tls-cert"), "{complaint}");

    // What is no TLS is no harm either.
    let mut plain =
        std::net::TcpStream::connect(address.replace("localhost", "127.0.0.1")).unwrap();
    plain
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    std::io::Write::write_all(&mut plain, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // An alert, or the end of the connection: nothing of HTTP/2 in any case.
    let _ = std::io::Read::read_to_end(&mut plain, &mut answer);
    assert!(answer.len() < 16, "{answer:?}");
    assert_eq!(hall.status("thor")["state"], "running");
}

#[test]
fn a_daemon_with_a_stranger_s_certificate_is_not_believed() {
    let (hall, address) = hall(&Authority::new());
    fs::write(hall.path("ca.pem"), Authority::new().pem).unwrap();
    let (code, message) = ask(&hall, &address, "reader", &["status"]);
    assert_eq!(code, Some(3), "{message}");
}

#[test]
fn a_renewed_certificate_serves_the_next_caller() {
    let authority = Authority::new();
    let (hall, address) = hall(&authority);
    assert_eq!(ask(&hall, &address, "reader", &["status"]).0, Some(0));
    // A new authority: nobody believes the old certificates any more, and the daemon shows a new one.
    let renewed = Authority::new();
    renewed.certify(&hall, "hall");
    fs::write(hall.path("ca.pem"), &renewed.pem).unwrap();
    let (code, message) = ask(&hall, &address, "reader", &["status"]);
    assert_eq!(code, Some(6), "{message}");
    renewed.certify(&hall, "reader");
    let (code, message) = ask(&hall, &address, "reader", &["status"]);
    assert_eq!(code, Some(0), "{message}");
    assert!(hall.log().contains("read again"), "{}", hall.log());
}

#[test]
fn tcp_without_tls_is_an_error_of_the_hall_file() {
    let hall = TestDaemon::prepare("[listen]\ntcp = \"127.0.0.1:7443\"\n");
    let check = hall.cli(["check"]).expect_code(2);
    for key in ["certificate", "key", "client_ca"] {
        let expected = format!("[listen] has no `{key}`");
        assert!(check.stderr.contains(&expected), "{check:#?}");
    }
}
