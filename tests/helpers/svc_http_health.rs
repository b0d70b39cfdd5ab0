//! An HTTP server on `--port N` whose answer is what the file `--control FILE` says at that moment:
//! `ok` (also without a file), `fail`, `redirect`, `hang`, `close`, `flood` (a gigabyte of body) or
//! `flood-head` (a gigabyte of header).

#![expect(
    clippy::expect_used,
    reason = "a helper that cannot play its part says so and ends"
)]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

use gladsheim_tests::helper::{Requests, announce, for_ever, number, option};

fn main() {
    let requests = Requests::catch();
    let port = u16::try_from(number("--port").expect("--port is needed")).expect("is a port");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            thread::spawn(|| answer(connection));
        }
    });
    announce();
    requests.wait_to_end();
}

fn answer(mut connection: TcpStream) {
    let control = option("--control").and_then(|file| fs::read_to_string(file).ok());
    let control = control.as_deref().map_or("ok", str::trim);
    if control == "close" {
        return;
    }
    let mut request = [0; 4096];
    // A client that goes away in the middle is not this program's subject.
    let Ok(_) = connection.read(&mut request) else {
        return;
    };
    let head = match control {
        "fail" => "503 Service Unavailable\r\nContent-Length: 0",
        "redirect" => "302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0",
        "hang" => for_ever(),
        "flood" => "200 OK\r\nContent-Length: 1073741824",
        "flood-head" => "200 OK\r\nX-Flood: ",
        _ => "200 OK\r\nContent-Length: 0",
    };
    let end = match control {
        "flood-head" => "",
        _ => "\r\nConnection: close\r\n\r\n",
    };
    let head = format!("HTTP/1.1 {head}{end}");
    if connection.write_all(head.as_bytes()).is_err() || !control.starts_with("flood") {
        return;
    }
    let mebibyte = vec![b'x'; 1 << 20];
    for _ in 0..1024 {
        if connection.write_all(&mebibyte).is_err() {
            return;
        }
    }
}
