//! Generates the messages and services of `proto/` without a `protoc` on the machine.

use std::error::Error;
use std::path::PathBuf;

use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::Type;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_file("ledger/v1/ledger.proto")?;
    // Encoded by protox, because prost's own descriptor types drop the HTTP annotations.
    let descriptors =
        PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?).join("ledger.bin");
    std::fs::write(descriptors, compiler.encode_file_descriptor_set())?;
    let mut files = compiler.file_descriptor_set();
    share_texts_of_entries(&mut files);
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".")
        .btree_map(".")
        .codec_path("crate::codec::Codec")
        .compile_fds(files)?;
    Ok(())
}

/// Lets id and stream of an entry share the memory of others, as bytes do, instead of taking a piece for each of the
/// thousand entries of a page. On the wire both are the same; the published descriptor keeps saying that they are text.
fn share_texts_of_entries(files: &mut FileDescriptorSet) {
    let messages = files.file.iter_mut().flat_map(|file| &mut file.message_type);
    let fields = messages.filter(|message| message.name() == "Entry").flat_map(|entry| &mut entry.field);
    for field in fields.filter(|field| ["id", "stream"].contains(&field.name())) {
        field.set_type(Type::Bytes);
    }
}
