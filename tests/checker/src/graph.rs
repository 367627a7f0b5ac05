//! Which computation produces and reads which stream.

/// A computation of the graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Computation {
    /// Where it only produces: how many numbers, under which key.
    pub source: Option<Source>,
    /// The streams that it reads.
    pub reads: Vec<u16>,
    /// The streams that it produces.
    pub produces: Vec<u16>,
    /// Whether its productions are sent before they are stored.
    pub weak: bool,
}

/// What a source has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Under which key it runs.
    pub key: u64,
    /// How many records it produces in all.
    pub total: u64,
}

/// The graph of a run. Computations and streams go by their place in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// Every computation.
    pub computations: Vec<Computation>,
    /// The most records that may be on their way over one channel, unless a single delivery has more.
    pub channel_records_max: usize,
}

impl Graph {
    /// The computations, with their places.
    pub fn all(&self) -> impl Iterator<Item = (u16, &Computation)> {
        (0..).zip(&self.computations)
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, computation: u16) -> Option<&Computation> {
        self.computations.get(usize::from(computation))
    }

    /// Whether it is a source.
    #[must_use]
    pub fn is_source(&self, computation: u16) -> bool {
        self.get(computation).is_some_and(|computation| computation.source.is_some())
    }

    /// Whether its productions are sent before they are stored.
    #[must_use]
    pub fn is_weak(&self, computation: u16) -> bool {
        self.get(computation).is_some_and(|computation| computation.weak)
    }

    /// Who reads the stream.
    pub fn subscribers(&self, stream: u16) -> impl Iterator<Item = u16> {
        self.all().filter(move |(_, it)| it.reads.contains(&stream)).map(|(at, _)| at)
    }

    /// Who produces what the computation reads.
    pub fn producers(&self, computation: u16) -> impl Iterator<Item = u16> {
        let reads = self.get(computation).map(|it| it.reads.as_slice()).unwrap_or_default();
        self.all().filter(|(_, it)| it.produces.iter().any(|stream| reads.contains(stream))).map(|(at, _)| at)
    }
}
