/// Mistakes that somebody could make in the cluster, made on purpose in the simulator's own shells around the real
/// core, so that the core itself stays clean. The simulator must find each of them.
public enum PlantedBug: String, CaseIterable, Sendable {
    /// A hole in the control link to the coordinator goes unnoticed.
    case gapIgnored
    /// A worker does not compare the cluster epoch of KV messages with its own.
    case clusterEpochIgnored
    /// All attempts at a request go by the same name.
    case attemptReused
    /// A replay gets the prompt, but not the tokens that were emitted before.
    case replayForgetsTokens
    /// A worker does not hear of cancellations.
    case cancelDropped
    /// A worker says nothing when it gives an attempt up.
    case failureSwallowed
    /// A worker that starts over keeps what it had.
    case roleKeptAtReset
    /// Every credit counts on top of the last one.
    case creditAdded
    /// Leased blocks are returned before the transport has read them.
    case leaseEndedEarly
    /// A layer is called stored before it is.
    case layerAnnouncedEarly
    /// Only the first part of a payload is copied.
    case payloadCutShort
    /// A damaged payload counts as a good one.
    case checksumSkipped
    /// Payloads land one block beside their place.
    case wrongBlock
    /// The next iteration starts before the last one's KV is written.
    case iterationEndedEarly
    /// A mixed worker decodes a row before the last chunk of its prompt is written.
    case lastChunkWrittenLate
    /// A mixed worker does not count the blocks of its own prompts: others are given them as well.
    case promptBlocksUncounted
    /// A mixed worker does not count its rows when it fills a step's token budget.
    case budgetForgetsRows
    /// Blocks are called parked, and given to others, before the store has read them.
    case parkedBlocksReadLate
    /// A query is resumed in blocks that nobody filled.
    case restoreForgotten
    /// Parked KV that was damaged on the disk counts as good.
    case damagedParkingTrusted
    /// The memory of free blocks is given back after they were handed out again.
    case memoryReleasedLate
    /// A worker does not say that it has parked a query.
    case parkingSwallowed
    /// A decode worker shapes its dense batch and does not move the KV along.
    case shapingMovesNothing
    /// Choices that share a prompt's last block write to it together.
    case sharedBlockNotCopied
    /// A block that a prompt shares is given to others while it is being read.
    case leasedBlockEvicted
    /// A prompt goes on in a block of which only a part is its own, and that part is not there.
    case partOfBlockNotCopied
    /// Workers share KV between salts.
    case saltSkipped
    /// A worker takes a prefix for computed because the index has it, which has not heard yet that it was evicted.
    case staleIndexTrusted
    /// A worker of another numerics class says that it is of the cluster's.
    case numericsMisstated
    /// A decode worker claims to have a block that it lost.
    case heldOverstated
    /// All choices of a request draw the same random numbers.
    case choicesDrawAlike
    /// The client's stream gets the scores of a prompt twice.
    case scoresEmittedTwice
    /// The client's stream gets a token twice.
    case tokenEmittedTwice
    /// A failed stream looks finished.
    case failureLooksFinished
    /// A deadline that passes while a request is with workers goes unnoticed by them.
    case workersNotToldOfDeadline
}
