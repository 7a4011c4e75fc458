//! What the service and its proving process say to each other: messages behind their length (4 bytes, big-endian).

use std::io::{self, Read, Write};

use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Largest message: a proof with its frame.
const MAX: u32 = 8 << 20;

/// To the proving process.
#[derive(Clone, PartialEq, Message)]
pub struct Order {
    #[prost(oneof = "order::What", tags = "1, 2, 3")]
    pub what: Option<order::What>,
}

/// Its kinds.
pub mod order {
    /// One of them.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum What {
        /// What to load, once.
        #[prost(message, tag = "1")]
        SetUp(super::SetUp),
        /// A batch to prove.
        #[prost(message, tag = "2")]
        Prove(super::Prove),
        /// Give the batch up.
        #[prost(message, tag = "3")]
        Stop(super::Stop),
    }
}

/// What to load.
#[derive(Clone, PartialEq, Message)]
pub struct SetUp {
    #[prost(string, repeated, tag = "1")]
    pub bases: Vec<String>,
    #[prost(string, tag = "2")]
    pub srs: String,
    #[prost(bool, tag = "3")]
    pub insecure_dev_srs: bool,
    /// Where the development SRS is cached.
    #[prost(string, tag = "4")]
    pub cache: String,
    /// Where settlement keys are kept; they are made when they are absent.
    #[prost(string, tag = "5")]
    pub settlement_keys: String,
    /// The ids that the bases must have, in their order; none are expected if this is empty.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub base_ids: Vec<Vec<u8>>,
}

/// A batch.
#[derive(Clone, PartialEq, Message)]
pub struct Prove {
    #[prost(bytes, tag = "1")]
    pub base: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    pub items: Vec<Item>,
    #[prost(bool, tag = "3")]
    pub embed: bool,
    #[prost(bytes, tag = "4")]
    pub context: Vec<u8>,
    /// What the batch is settled for, as JSON; empty if its proof is wanted.
    #[prost(bytes, tag = "5")]
    pub binding: Vec<u8>,
    /// The datanet's file by whose index the answers are attributed, or none.
    #[prost(string, tag = "6")]
    pub datanet: String,
    /// The id that its index must have.
    #[prost(bytes, tag = "7")]
    pub datanet_id: Vec<u8>,
}

/// One request. The adapter's file and the id that it must have, or none.
#[derive(Clone, PartialEq, Message)]
pub struct Item {
    #[prost(uint32, repeated, tag = "1")]
    pub token_ids: Vec<u32>,
    #[prost(bytes, tag = "2")]
    pub salt: Vec<u8>,
    #[prost(string, tag = "3")]
    pub adapter: String,
    #[prost(bytes, tag = "4")]
    pub adapter_id: Vec<u8>,
}

/// Gives the batch up.
#[derive(Clone, PartialEq, Message)]
pub struct Stop {}

/// From the proving process.
#[derive(Clone, PartialEq, Message)]
pub struct Report {
    #[prost(oneof = "report::What", tags = "1, 2, 3, 4, 5")]
    pub what: Option<report::What>,
}

/// Its kinds.
pub mod report {
    /// One of them.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum What {
        /// Everything is loaded.
        #[prost(message, tag = "1")]
        Ready(super::Ready),
        /// It lives.
        #[prost(string, tag = "2")]
        Step(String),
        /// A proof.
        #[prost(bytes, tag = "3")]
        Proof(Vec<u8>),
        /// No proof.
        #[prost(message, tag = "4")]
        Failed(super::Failed),
        /// A settlement.
        #[prost(message, tag = "5")]
        Settled(super::Settled),
    }
}

/// A settlement, and the key that checks it.
#[derive(Clone, PartialEq, Message)]
pub struct Settled {
    #[prost(bytes, tag = "1")]
    pub settlement: Vec<u8>,
    #[prost(bytes, tag = "2")]
    pub key: Vec<u8>,
}

/// Everything is loaded.
#[derive(Clone, PartialEq, Message)]
pub struct Ready {}

/// No proof.
#[derive(Clone, PartialEq, Message)]
pub struct Failed {
    #[prost(string, tag = "1")]
    pub message: String,
    /// It would fail again.
    #[prost(bool, tag = "2")]
    pub always: bool,
    /// It was stopped on demand.
    #[prost(bool, tag = "3")]
    pub stopped: bool,
}

fn framed(message: &impl Message) -> io::Result<Vec<u8>> {
    let length = u32::try_from(message.encoded_len()).ok().filter(|&length| length <= MAX);
    let length = length.ok_or_else(|| io::Error::other("a message that is too long"))?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(message.encode_to_vec());
    Ok(bytes)
}

fn length(head: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_be_bytes(head);
    if length > MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is too long"));
    }
    usize::try_from(length).map_err(io::Error::other)
}

fn decode<M: Message + Default>(bytes: &[u8]) -> io::Result<M> {
    M::decode(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes a message.
pub fn write(to: &mut impl Write, message: &impl Message) -> io::Result<()> {
    to.write_all(&framed(message)?)?;
    to.flush()
}

/// Reads a message.
pub fn read<M: Message + Default>(from: &mut impl Read) -> io::Result<M> {
    let mut head = [0; 4];
    from.read_exact(&mut head)?;
    let mut bytes = vec![0; length(head)?];
    from.read_exact(&mut bytes)?;
    decode(&bytes)
}

/// Writes a message.
pub async fn write_async(to: &mut (impl AsyncWrite + Unpin), message: &impl Message) -> io::Result<()> {
    to.write_all(&framed(message)?).await?;
    to.flush().await
}

/// Reads a message. Not to be dropped before it is done.
pub async fn read_async<M: Message + Default>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<M> {
    let mut head = [0; 4];
    from.read_exact(&mut head).await?;
    let mut bytes = vec![0; length(head)?];
    from.read_exact(&mut bytes).await?;
    decode(&bytes)
}
