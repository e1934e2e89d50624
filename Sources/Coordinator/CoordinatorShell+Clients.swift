import ClusterCore
import Gateway
import Generation
import RequestAdmission
import Tokenizer
import Transport
import Wire

// What front ends ask for, and how their clients are answered. All of it on the shell's thread.
extension CoordinatorShell {
    /// Why a new request would be refused now; `nil`: it would be taken.
    var refusal: RequestFailure? {
        if isDraining { return RequestFailure(code: .draining, message: "the coordinator is shutting down") }
        if runningTokenizations + scheduler.waitingCount >= settings.scheduler.maxQueuedRequests {
            return RequestFailure(code: .overloaded, message: "the queue is full")
        }
        return nil
    }

    var status: ClusterStatus { scheduler.status }
    var numerics: NumericsClass? { scheduler.numerics }
    var room: ClusterRoom { scheduler.room(for: .low) }

    /// Takes a request; what becomes of it is told to the client. Tokenizes off this thread, so that a long prompt holds
    /// nobody up.
    func submit(_ key: ClientRequestKey, _ submission: Submission) {
        if let refusal { return refuseNow(key, refusal) }
        guard !tokenizing.contains(key) else {
            return refuseNow(key, RequestFailure(code: .invalid, message: "key \(key.key) is in use"))
        }
        let deadline = submission.timeout.map { Instant.now + $0 }
        let (admission, seed) = (settings.admission, UInt64.random(in: 0 ... .max))
        tokenizing.insert(key)
        runningTokenizations += 1
        Task.detached {
            let admitted: Result<Admission.Admitted, RequestFailure>
            do throws(RequestFailure) {
                admitted = .success(try admission.admit(submission, drawnSeed: seed))
            } catch {
                admitted = .failure(error)
            }
            await self.admit(admitted, key, submission, deadline)
        }
    }

    /// The client does not want the answer (any more).
    func cancel(_ key: ClientRequestKey) {
        tokenizing.remove(key)
        feed(.cancelled(key))
    }

    /// The client is gone, and with it whatever it has open.
    func leave(_ client: ClientID) { feed(forget(client)) }

    /// - Returns: what the scheduler has to know.
    func forget(_ client: ClientID) -> Scheduler.Event {
        tokenizing = tokenizing.filter { $0.client != client }
        return .clientGone(client)
    }

    private func admit(
        _ admitted: Result<Admission.Admitted, RequestFailure>, _ key: ClientRequestKey, _ submission: Submission,
        _ deadline: Instant?
    ) {
        runningTokenizations -= 1
        // Cancelled, or the client is gone.
        guard tokenizing.remove(key) != nil else { return }
        switch admitted {
        case .failure(let failure): refuseNow(key, failure)
        case .success(let admitted):
            let request = ClientRequest(
                key: key, prompt: admitted.prompt, sampling: admitted.sampling, stop: admitted.stop,
                choices: admitted.choices, logprobs: admitted.logprobs, promptLogprobs: admitted.promptLogprobs,
                constraint: admitted.constraint, priority: submission.priority, cacheSalt: submission.cacheSalt,
                group: submission.group,
                groupOwner: local.knows(key.client) ? LocalClients.groupOwner : nil, deadline: deadline)
            var events: [Scheduler.Event] = []
            for action in scheduler.handle(.submitted(request), at: .now) {
                if case .accepted(_, let id) = action {
                    desk.open(id, for: key, text: settings.admission.answerText(of: submission), choices: admitted.choices)
                    let acceptance = Acceptance(
                        request: id, seed: admitted.sampling.seed, promptCount: Int32(admitted.prompt.count),
                        choices: admitted.choices)
                    if settings.measures { measurements.noteAcceptance(acceptance, at: .now) }
                    events += tell(key, .accepted(key: key.key, acceptance))
                } else {
                    events += carryOut(action)
                }
            }
            for event in events { feed(event) }
        }
    }

    // MARK: Telling

    private func refuseNow(_ key: ClientRequestKey, _ failure: RequestFailure) {
        for event in refuse(key, failure) { feed(event) }
    }

    func refuse(_ key: ClientRequestKey, _ failure: RequestFailure) -> [Scheduler.Event] {
        measurements.noteRefusal(failure.code)
        return tell(key, .failed(key: key.key, failure))
    }

    func settle(_ outcomes: [ClientDesk.Outcome]) -> [Scheduler.Event] {
        var events: [Scheduler.Event] = []
        for outcome in outcomes {
            switch outcome {
            case .send(let key, let message): events += tell(key, message)
            case .stopMatched(let request, let choice): events.append(.stopMatched(request, choice: choice))
            }
        }
        return events
    }

    /// - Returns: that the client is gone, if it is, or reads too slowly for its queue.
    private func tell(_ key: ClientRequestKey, _ message: ServerMessage) -> [Scheduler.Event] {
        let isThere = local.knows(key.client) ? local.tell(key, message, arrival: messageArrival) : rpc?.tell(message, to: key.client, self) ?? true
        return isThere ? [] : [forget(key.client)]
    }
}
