//! Compiles the contracts with protox, a protobuf compiler in Rust: no protoc is needed.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=pelton");
    let files = protox::compile(["pelton/store/v1/store.proto"], ["."])?;
    prost_build::Config::new().bytes(["."]).compile_fds(files)?;
    Ok(())
}
