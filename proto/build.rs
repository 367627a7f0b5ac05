//! Compiles the contracts with protox, a protobuf compiler in Rust: no protoc is needed.

const FILES: [&str; 6] = [
    "pelton/store/v1/store.proto",
    "pelton/statestore/v1/statestore.proto",
    "pelton/injector/v1/injector.proto",
    "pelton/worker/v1/worker.proto",
    "pelton/ingest/v1/ingest.proto",
    "pelton/subscribe/v1/subscribe.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=pelton");
    let files = protox::compile(FILES, ["."])?;
    let descriptors = std::path::PathBuf::from(std::env::var("OUT_DIR")?).join("descriptors.bin");
    std::fs::write(descriptors, prost::Message::encode_to_vec(&files))?;
    tonic_prost_build::configure().bytes(".").compile_fds(files)?;
    Ok(())
}
