import ClusterCore
import Foundation
import Generation
import Inference
import RequestAdmission
import Synchronization
import Tokenizer

@testable import Gateway

/// A cluster whose answers a test writes down.
final class FakeBackend: ServingBackend {
    enum Script: Sendable {
        /// These choices, each token by token.
        case answers([[FakeToken]], reason: FinishReason = .length)
        /// One answer, with the text that the coordinator would make of it.
        case tokens([TokenID])
        /// Fails before anything else.
        case refusal(RequestFailure)
        /// Fails behind the first tokens of the first choice.
        case failure([FakeToken], RequestFailure)
        /// Nothing ever comes.
        case silence
        /// One token after the other, until somebody cancels.
        case endless(FakeToken)
    }

    struct FakeToken: Sendable {
        var token: ScoredToken
        var text: String

        init(_ text: String, _ id: TokenID = 7, logprobs: TokenLogprobs? = nil) {
            token = ScoredToken(id, logprobs)
            self.text = text
        }
    }

    struct State: Sendable {
        var submissions: [Submission] = []
        var cancellations = 0
        var refusal: RequestFailure?
        var status = FakeBackend.readyStatus
        var room = ClusterRoom(rows: 32, blocks: 1000, blockSize: 16)
        var script: Script
    }

    static let tokenizer = Result { try Tokenizer(modelPath: modelPath) }
    static let modelPath = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Models/baton-tiny").path

    let model: ServedModel
    let state: Mutex<State>

    init(_ script: Script, tokenizer: Tokenizer? = nil) throws {
        let admission = Admission(
            tokenizer: try tokenizer ?? Self.tokenizer.get(), configuration: try ModelConfiguration(path: Self.modelPath), maxModelLength: .max)
        model = ServedModel(name: "fake", created: 1_700_000_000, admission: admission)
        state = Mutex(State(script: script))
    }

    var submissions: [Submission] { state.withLock { $0.submissions } }
    var cancellations: Int { state.withLock { $0.cancellations } }

    func reception() async -> Reception {
        Reception(
            refusal: state.withLock { $0.refusal },
            numerics: NumericsClass(
                modelHash: "00", weightFormat: "float32", kvFormat: "float32", kernelFamily: "scalar", canary: 1))
    }

    func status() async -> ClusterStatus { state.withLock { $0.status } }

    func measurements() async -> ServingMetrics { ServingMetrics() }

    func room() async -> ClusterRoom { state.withLock { $0.room } }

    func submit(_ submissions: [Submission]) -> AnswerStream {
        let script = state.withLock { state in
            state.submissions += submissions
            return state.script
        }
        let answers = AnswerStream { [weak self] in self?.state.withLock { $0.cancellations += 1 } }
        let admission = model.admission
        Task {
            for (index, submission) in submissions.enumerated() { await Self.play(script, submission, index, admission, answers) }
            if case .silence = script { return }
            answers.end()
        }
        return answers
    }

    private static func play(
        _ script: Script, _ submission: Submission, _ index: Int, _ admission: Admission,
        _ answers: AnswerStream
    ) async {
        func send(_ kind: AnswerEvent.Kind) { _ = answers.put(AnswerEvent(request: index, kind: kind)) }
        guard case .tokens(let prompt) = submission.prompt else { return }
        let acceptance = Acceptance(
            request: RequestID(1), seed: submission.seed ?? 0, promptCount: Int32(prompt.count), choices: submission.choices)
        if case .refusal(let failure) = script {
            answers.end(failure: failure)
            return
        }
        send(.accepted(acceptance))
        if submission.promptLogprobs != nil {
            send(.prompt(first: 0, prompt.enumerated().map { ScoredToken($1, $0 == 0 ? nil : TokenLogprobs(logprob: -1)) }))
        }
        switch script {
        case .refusal, .silence: break
        case .answers(let written, let reason):
            for choice in 0..<Int(submission.choices) {
                let tokens = written[choice % written.count]
                for (position, token) in tokens.enumerated() {
                    send(.tokens(choice: Int32(choice), firstIndex: Int32(position), [token.token], text: token.text))
                }
                send(.finished(choice: Int32(choice), completion(reason, tokens.count)))
            }
        case .tokens(let tokens):
            var text = admission.answerText(of: submission)
            for (position, token) in tokens.enumerated() {
                send(.tokens(choice: 0, firstIndex: Int32(position), [ScoredToken(token, nil)], text: text.append(token)))
            }
            send(.finished(choice: 0, completion(.stop, tokens.count, text: text.finish())))
        case .failure(let tokens, let failure):
            for (position, token) in tokens.enumerated() {
                send(.tokens(choice: 0, firstIndex: Int32(position), [token.token], text: token.text))
            }
            answers.end(failure: failure)
        case .endless(let token):
            var position: Int32 = 0
            while case .taken = answers.put(
                AnswerEvent(request: index, kind: .tokens(choice: 0, firstIndex: position, [token.token], text: token.text)))
            {
                position += 1
                try? await Task.sleep(for: .milliseconds(1))
            }
        }
    }

    private static func completion(_ reason: FinishReason, _ count: Int, text: String = "") -> Completion {
        Completion(
            reason: reason, text: text, tokenCount: Int32(count), timings: Timings(), prefillWorker: WorkerID("p0"),
            decodeWorker: nil, attempts: 1)
    }

    static var readyStatus: ClusterStatus {
        ClusterStatus(
            epoch: ClusterEpoch(1), modelName: "fake", waiting: 0, running: 0, draining: false,
            workers: [
                WorkerStatus(
                    worker: WorkerID("m0"), role: .mixed, state: .ready, endpoint: "", blockCount: 100, maxSequences: 8,
                    load: WorkerLoad())
            ])
    }
}
