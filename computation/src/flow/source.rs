//! What a flow can read.

use crate::codec::Codec;
use crate::outlet::Outlet;
use crate::pipeline::ErasedStep;
use crate::source::{FileFormat, FileSource, Source, SplitSource};

/// A source that a [`Flow`](super::Flow) can read: any [`FileSource`] or [`Source`]. The stream it was made with only
/// gives it its name; its records go straight into the steps behind it.
pub trait FlowSource: sealed::Sealed + 'static {
    /// What its records say.
    type Value: 'static;

    #[doc(hidden)]
    fn name(&self) -> String;

    #[doc(hidden)]
    fn check(&self) -> Result<(), String>;

    #[doc(hidden)]
    #[expect(private_interfaces, reason = "only sources of this crate implement it")]
    fn steps(self, outlet: Outlet<Self::Value>) -> Vec<ErasedStep>;
}

mod sealed {
    pub trait Sealed {}
}

impl<S: SplitSource + Sync, C: Codec<S::Value>> sealed::Sealed for Source<S, C> {}
impl<F: FileFormat, C: Codec<F::Value>> sealed::Sealed for FileSource<F, C> {}

impl<S: SplitSource + Sync, C: Codec<S::Value>> FlowSource for Source<S, C> {
    type Value = S::Value;

    fn name(&self) -> String {
        self.options().name.clone()
    }

    fn check(&self) -> Result<(), String> {
        self.validate().map_err(|error| error.to_string())
    }

    #[expect(private_interfaces, reason = "only sources of this crate implement it")]
    fn steps(self, outlet: Outlet<S::Value>) -> Vec<ErasedStep> {
        self.into_steps_with(outlet)
    }
}

impl<F: FileFormat, C: Codec<F::Value>> FlowSource for FileSource<F, C> {
    type Value = F::Value;

    fn name(&self) -> String {
        self.options.name.clone()
    }

    fn check(&self) -> Result<(), String> {
        self.validate().map_err(|error| error.to_string())
    }

    #[expect(private_interfaces, reason = "only sources of this crate implement it")]
    fn steps(self, outlet: Outlet<F::Value>) -> Vec<ErasedStep> {
        self.into_source().into_steps_with(outlet)
    }
}
