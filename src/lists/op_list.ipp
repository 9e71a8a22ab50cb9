// Every op that is compiled once: the other half of the RIG_OP lines at the end of its header. Written by scripts/lists.
namespace rig::inline RIG_ABI {

RIG_OP_SOURCE(Activate)
RIG_OP_SOURCE(BiasAct)
RIG_OP_SOURCE(BiasActSlope)
RIG_OP_SOURCE(BroadcastTo)
RIG_OP_SOURCE(ChannelDot)
RIG_OP_SOURCE(Conv2d)
RIG_OP_SOURCE(Conv2dInput)
RIG_OP_SOURCE(Conv2dWeight)
RIG_OP_SOURCE(Gather)
RIG_OP_SOURCE(Matmul)
RIG_OP_SOURCE(NoiseBiasAct)
RIG_OP_SOURCE(Permute)
RIG_OP_SOURCE(Reshape)
RIG_OP_SOURCE(ScaleChannels)
RIG_OP_SOURCE(ScatterAdd)
RIG_OP_SOURCE(Slice)
RIG_OP_SOURCE(SumTapsOfSquares)
RIG_OP_SOURCE(SumTo)
RIG_OP_SOURCE(TurnWeight)
RIG_OP_SOURCE(Unslice)
RIG_OP_SOURCE(Upfirdn2d)

}  // namespace rig::inline RIG_ABI
