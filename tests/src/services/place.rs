//! Where each process of the services runs.

/// Where a process runs that does not run on loopback.
#[derive(Clone, Debug)]
pub struct Place {
    /// What stands before its program on the command line.
    pub prefix: Vec<String>,
    /// The address that it listens at, and that others reach it at.
    pub host: String,
}

/// The places of all processes.
#[derive(Clone, Debug)]
pub struct Places {
    /// Of the state store.
    pub statestore: Place,
    /// Of the injectors.
    pub injectors: Vec<Place>,
    /// Of the workers.
    pub workers: Vec<Place>,
}
