//! Ways apart and together: records that go one of two ways, and several streams as one. No step: all is fused.

use super::records::Records;

impl<'f, T: 'static> Records<'f, T> {
    /// Those that `choose` picks, and all others. Both go on from the same producer; with several calls there are
    /// as many branches.
    #[must_use]
    pub fn branch(&self, choose: impl Fn(&T) -> bool + Clone + Send + Sync + 'static) -> (Self, Self) {
        let others = choose.clone();
        let pick = |name, wanted: bool, choose: Box<dyn Fn(&T) -> bool + Send + Sync>| {
            self.then(name, move |value, key, give| {
                if choose(&value) == wanted {
                    give(value, key);
                }
            })
        };
        (pick("branch", true, Box::new(choose)), pick("branch (others)", false, Box::new(others)))
    }

    /// Each record becomes one of the main output or one of the side output: what cannot be used, for one, goes
    /// aside with a reason. `step` is called once for each of the two that something is done with.
    pub fn side_output<U: 'static, S: 'static>(
        &self,
        step: impl Fn(T) -> Result<U, S> + Clone + Send + Sync + 'static,
    ) -> (Records<'f, U>, Records<'f, S>) {
        let aside = step.clone();
        let main = self.then("side_output (main)", move |value, key, give: &mut dyn FnMut(U, _)| {
            if let Ok(value) = step(value) {
                give(value, key);
            }
        });
        let side = self.then("side_output (side)", move |value, key, give: &mut dyn FnMut(S, _)| {
            if let Err(value) = aside(value) {
                give(value, key);
            }
        });
        (main, side)
    }

    /// These records and the `others`, in no order between the two. What is done next is fused into both
    /// producers, and the low watermark is that of the slower one.
    #[must_use]
    pub fn merge(&self, others: &Self) -> Self {
        self.flow.same(others.flow);
        let (one, other) = (self.attach.clone(), others.attach.clone());
        Self::attached(self.flow, move |outlet| {
            one(outlet.clone());
            other(outlet);
        })
    }
}
