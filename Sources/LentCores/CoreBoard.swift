/// Who has which core of a host, as one of its workers sees and changes it.
///
/// Nothing here blocks, and whatever a worker has is free again once the worker is gone.
public protocol CoreBoard: AnyObject {
    /// Takes the lease of a core; false if another worker has it.
    func take(_ core: Int) -> Bool
    func giveBack(_ core: Int)
    /// Says that this worker waits for a core where it is at home, or does so no longer.
    func setWanted(_ core: Int, _ isWanted: Bool)
    /// Whether another worker says so.
    func isWanted(_ core: Int) -> Bool
    /// Becomes the next to have a core that several are at home on; false if another is the next.
    func takeTurn(_ core: Int) -> Bool
    func endTurn(_ core: Int)
    /// Cores where other workers are at home, ascending.
    func othersHomes() -> [Int]
    /// Says that this worker computes prompts and has use for cores of others, or has no longer.
    func setKeen(_ isKeen: Bool)
    /// Whether another worker says so.
    func areOthersKeen() -> Bool
}
